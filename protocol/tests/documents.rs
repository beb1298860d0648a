//! What stands in `protocol/docs` is what the code cites, and names only what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const WIRE: &str = include_str!("../docs/wire.md");
const DESIGN: &str = include_str!("../docs/design.md");

#[test]
fn every_citation_leads_to_a_section() {
    let mut found = 0;
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        let text = without_line_breaks(&text);
        for (name, document) in [("wire.md", WIRE), ("design.md", DESIGN)] {
            let sections = sections(document);
            for (at, _) in text.match_indices(name) {
                let rest = &text[at + name.len()..];
                let cited = cited_sections(rest);
                let is_about_the_file = rest.starts_with(['`', '"', ')', ']', '#']);
                if cited.is_empty() && !is_about_the_file {
                    wrong.push(format!("{}: {name} without a section", path.display()));
                }
                let missing = cited.iter().filter(|section| !sections.contains(*section));
                wrong.extend(missing.map(|section| format!("{}: {name} {section}", path.display())));
                found += cited.len();
            }
        }
    }
    assert!(wrong.is_empty(), "these lead nowhere: {wrong:#?}");
    assert!(found > 100, "only {found} citations were recognised");
}

#[test]
fn references_within_the_documents_lead_to_a_section() {
    for (name, document) in [("wire.md", WIRE), ("design.md", DESIGN)] {
        let sections = sections(document);
        for (at, sign) in document.match_indices('§') {
            let cited = cited_sections(&document[at + sign.len()..]);
            assert!(!cited.is_empty(), "{name}: a § without a section");
            for section in cited {
                assert!(sections.contains(&section), "{name}: §{section}");
            }
        }
    }
}

#[test]
fn the_limits_that_the_design_lists_and_their_tests_exist() {
    let code: String = texts().into_iter().map(|(_, text)| text).collect();
    let (_, limits) = DESIGN.split_once("\n## 10. ").expect("the design has a section on limits");
    let (limits, _) = limits.split_once("\n## ").unwrap_or((limits, ""));
    let rows: Vec<&str> = limits.lines().filter(|line| line.starts_with('|')).collect();
    let constants: Vec<&str> =
        rows.iter().flat_map(|row| quoted(row)).filter(|word| is_constant(word)).collect();
    for constant in &constants {
        assert!(code.contains(&format!("const {constant}:")), "there is no constant {constant}");
    }
    let tests: Vec<&str> = rows.iter().filter_map(|row| row.rsplit('|').nth(1)).flat_map(quoted).collect();
    for test in &tests {
        assert!(code.contains(&format!("fn {test}(")), "there is no test {test}");
    }
    assert!(constants.len() > 10 && tests.len() > 10, "the table is not read right");
}

/// The Rust files of the workspace but this one, and its documents.
fn texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let mut texts = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What is built lies in `target`, and nothing that begins with a dot is a source.
            let is_source = !name.starts_with('.') && name != "target";
            if is_source && path.is_dir() {
                folders.push(path);
            } else if (name.ends_with(".rs") || name.ends_with(".md")) && !path.ends_with(file!()) {
                let text = fs::read_to_string(&path).expect("a readable text");
                texts.push((path, text));
            }
        }
    }
    texts.sort();
    texts
}

/// The text with its comments in one line each, since a citation may go on in the next one.
fn without_line_breaks(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

/// The sections that a text begins with: ` 2.7`, ` 2.2 to 2.4, 3.5`, ` appendix A`.
fn cited_sections(text: &str) -> Vec<String> {
    let mut sections = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    loop {
        let section = match rest.strip_prefix("appendix ") {
            Some(letter) => format!("appendix {}", letter.chars().next().unwrap_or_default()),
            None => number(rest).to_owned(),
        };
        if section.is_empty() {
            return sections;
        }
        rest = &rest[section.len()..];
        sections.push(section);
        let joint = [", ", " and ", " to ", "-", "–"].into_iter().find(|joint| rest.starts_with(joint));
        let Some(joint) = joint else { return sections };
        rest = &rest[joint.len()..];
    }
}

/// The number of a section at the start of a text, without the full stop of its sentence.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// The numbers of a document's headings, and its appendices.
fn sections(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let headings = headings.filter(|heading| !heading.starts_with(' '));
    let named = headings.map(|heading| match heading.strip_prefix("Appendix ") {
        Some(appendix) => format!("appendix {}", appendix.chars().next().unwrap_or_default()),
        None => number(heading).to_owned(),
    });
    named.filter(|name| !name.is_empty()).collect()
}

/// The words between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_constant(word: &str) -> bool {
    word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn citations_are_read_as_they_are_written() {
    let read = |text: &str| cited_sections(text).join(" | ");
    assert_eq!(read(" 2.7)."), "2.7");
    assert_eq!(read(" 2.2 to 2.4, 2.9, 3.5)"), "2.2 | 2.4 | 2.9 | 3.5");
    assert_eq!(read(" 9.1-9.3)"), "9.1 | 9.3");
    assert_eq!(read(" 2.3, 12)."), "2.3 | 12");
    assert_eq!(read(" 5: what"), "5");
    assert_eq!(read(" 7. And"), "7");
    assert_eq!(read(" appendix A."), "appendix A");
    assert_eq!(read("` and"), "");
}
