//! The order of the rooms of `protocol/src`: each may use those below it, and none above.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Rooms of one line do not use each other.
const ORDER: &[&[&str]] = &[
    &["engine"],
    &["driver"],
    &["services"],
    &["monitor"],
    &["connection"],
    &["node"],
    &["cluster"],
    &["relay"],
    &["discovery", "gossip", "routes"],
    &["forwarding"],
    &["delivery"],
    &["hub"],
    &["auth"],
    &["accounts"],
    &["sink"],
    &["outbox"],
    &["interest"],
    &["permissions"],
    &["config"],
    &["mapping"],
    &["wire"],
    &["transport"],
    &["meter"],
    &["calendar", "time", "id", "hash", "identity", "close", "lock", "quote"],
    &["nkey"],
];

/// Not rooms of the product: the simulator, which looks into all of them, the map and the documents.
const APART: [&str; 3] = ["sim", "lib", "docs"];

#[test]
fn every_room_uses_only_those_below_it() {
    let imports = imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 40, "imports are found at all: {imports:?}");
    let mut faults = Vec::new();
    for (room, used) in &imports {
        let Some(level) = level(room) else {
            faults.push(format!("{room} has no place in the order"));
            continue;
        };
        let above = used.iter().filter(|other| level_of(other) <= level);
        faults.extend(above.map(|other| format!("{room} uses {other}")));
    }
    assert_eq!(faults, [""; 0]);
}

/// Follows from the order; said on its own because it is what the order is for.
#[test]
fn no_rooms_use_each_other_in_a_circle() {
    let mut imports = imports();
    // A room that uses nobody, or only such rooms, is in no circle.
    loop {
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|used| used.retain(|room| left.contains(room)));
        let before = imports.len();
        imports.retain(|_, used| !used.is_empty());
        if imports.len() == before {
            break;
        }
    }
    assert!(imports.is_empty(), "{imports:?}");
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = "use crate::a::B;\n/// [`crate::doc`]\nuse crate::{b, c::{D, e}};\nfn f() { crate::d::g() }\n\
                #[cfg(test)]\nmod tests {\n    use crate::z::Y;\n}\n";
    assert_eq!(rooms_used(text), ["a", "b", "c", "d"].map(str::to_owned).into());
}

fn level(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

/// What has no place is above all.
fn level_of(room: &str) -> usize {
    level(room).unwrap_or(0)
}

/// Which rooms each room uses, apart from itself.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for path in files(&source) {
        let inside = path.strip_prefix(&source).expect("a file of the source");
        let room = inside.iter().next().and_then(|first| Path::new(first).file_stem()?.to_str());
        let room = room.expect("a readable name").to_owned();
        if APART.contains(&&*room) || is_test(inside) {
            continue;
        }
        let used = rooms_used(&fs::read_to_string(&path).expect("a readable file"));
        let used = used.into_iter().filter(|other| *other != room);
        imports.entry(room.clone()).or_default().extend(used);
    }
    imports
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

fn is_test(path: &Path) -> bool {
    path.iter().filter_map(|part| Path::new(part).file_stem()?.to_str()).any(|part| part.ends_with("tests"))
}

/// The first words of all paths that begin at the root of the crate, comments and tests apart.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.split("crate::").skip(1).flat_map(first_words).collect()
}

/// The first word of a path, or of each path in braces.
fn first_words(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut depth = 0;
    let mut words = vec![word(list)];
    for (place, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(word(&list[place + 1..])),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
