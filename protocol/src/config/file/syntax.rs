//! The syntax of the configuration file (wire.md 9.1): from a text to a tree of values.
//!
//! The tree is bounded in depth and in size, whatever variables and includes make of the text, so that no file can
//! exhaust the stack or the memory.

use super::Sources;
use super::scalar::{parse_bare, unescape};
use super::value::{Entry, Item, Map, Position, Value};

/// How deep maps, arrays, includes and variables may nest.
const MAX_DEPTH: usize = 64;
/// How many bytes a file may expand to: its values and strings, those of variables each time they are used.
const MAX_WEIGHT: usize = 32 * 1024 * 1024;
/// About what a value takes, its string or its elements not counted.
const VALUE_WEIGHT: usize = 64;
/// What an include weighs in addition to its content, so that empty files that include each other end.
const INCLUDE_WEIGHT: usize = 4096;
/// Keys whose values stand in no message.
const SECRETS: [&str; 4] = ["pass", "password", "token", "auth_token"];

/// A parsed file with everything that it includes.
pub(super) struct Document {
    /// The names of the file and of those that it includes, which positions refer to.
    pub(super) files: Vec<String>,
    pub(super) root: Map,
}

/// Parses the text of the file `name`.
pub(super) fn parse(name: &str, text: &str, sources: &dyn Sources) -> Result<Document, String> {
    let mut shared = Shared {
        sources,
        files: vec![name.to_owned()],
        scopes: vec![Map::new()],
        resolving: Vec::new(),
        depth: 0,
        weight: 0,
    };
    Parser::new(text, 0, &mut shared).pairs(Context::TopLevel)?;
    let root = shared.scopes.pop().unwrap_or_default();
    Ok(Document { files: shared.files, root })
}

/// What the parsers of a file, its includes and its variables have in common.
struct Shared<'a> {
    sources: &'a dyn Sources,
    files: Vec<String>,
    /// The maps that are open, outermost first.
    scopes: Vec<Map>,
    /// The outside variables whose values are being parsed.
    resolving: Vec<String>,
    depth: usize,
    weight: usize,
}

impl Shared<'_> {
    fn descend(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(format!("nested deeper than {MAX_DEPTH} levels")) } else { Ok(()) }
    }

    fn ascend(&mut self) {
        self.depth -= 1;
    }

    fn charge(&mut self, weight: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT { Err("expands to more than 32 MiB".to_owned()) } else { Ok(()) }
    }
}

struct Parser<'t, 's, 'a> {
    text: &'t str,
    offset: usize,
    line: usize,
    /// The offset that columns of this line count from.
    line_origin: usize,
    file: usize,
    shared: &'s mut Shared<'a>,
}

/// What pairs stand in, which decides how they end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    TopLevel,
    Map,
}

impl<'t, 's, 'a> Parser<'t, 's, 'a> {
    fn new(text: &'t str, file: usize, shared: &'s mut Shared<'a>) -> Self {
        Self { text, offset: 0, line: 1, line_origin: 0, file, shared }
    }

    /// Reads pairs into the innermost scope, to the end of the text or past the closing brace. At the top level some may stand in
    /// braces, as in JSON.
    fn pairs(&mut self, context: Context) -> Result<(), String> {
        loop {
            self.skip_blank_lines();
            match (self.peek(), context) {
                (None, Context::TopLevel) => return Ok(()),
                (None, Context::Map) => return Err(self.fault("Unexpected EOF processing map.")),
                (Some('}'), Context::Map) => {
                    self.advance(1);
                    return Ok(());
                }
                (Some('{'), Context::TopLevel) => {
                    self.advance(1);
                    self.pairs(Context::Map)?;
                    continue;
                }
                (Some('}'), Context::TopLevel) => return self.stray_brace(),
                (Some(separator @ (':' | '=')), _) => {
                    return Err(self.fault(format!("Unexpected key separator '{separator}'")));
                }
                (Some(terminator @ (',' | ';')), _) => {
                    return Err(self.fault(format!("Unexpected map value terminator \"{terminator}\".")));
                }
                (Some(_), _) => self.pair_or_include(context)?,
            }
            self.end_of_value(context)?;
        }
    }

    /// A brace too many is nobody's harm where nothing follows it.
    fn stray_brace(&mut self) -> Result<(), String> {
        let fault = self.fault("Unexpected map terminator '}'.");
        self.advance(1);
        self.skip_blank_lines();
        if self.peek().is_none() { Ok(()) } else { Err(fault) }
    }

    fn pair_or_include(&mut self, context: Context) -> Result<(), String> {
        let is_bare = !matches!(self.peek(), Some('"' | '\''));
        let (position, key) = self.key()?;
        if is_bare
            && key.eq_ignore_ascii_case("include")
            && matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r'))
        {
            return self.include();
        }
        // No comment can stand here: in nats-server `#secret` is a value.
        self.skip_whitespace();
        if (self.take(':') || self.take('=')) && context == Context::TopLevel {
            self.take_while(is_blank);
            if self.peek().is_some_and(is_line_end) {
                return Err(self.fault("Expected value but found new line"));
            }
        }
        self.take_while(|c| is_blank(c) || is_line_end(c));
        let Item { value, .. } = self.value().map_err(|fault| self.without_secret(&key, fault))?;
        self.shared.charge(key.len())?;
        if let Some(scope) = self.shared.scopes.last_mut() {
            scope.insert(key, Entry { position, value, is_variable: false });
        }
        Ok(())
    }

    /// What is wrong with the value of a key, which is not to be quoted if it is a secret: not even as the name of a variable,
    /// for which a password is taken that begins with `$`.
    fn without_secret(&self, key: &str, fault: String) -> String {
        let is_secret = SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret));
        if is_secret { self.fault(format!("The value of '{key}' cannot be read.")) } else { fault }
    }

    fn key(&mut self) -> Result<(Position, String), String> {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            self.advance(1);
            let position = self.position();
            return Ok((position, self.until_quote(quote)?.to_owned()));
        }
        let position = self.position();
        Ok((position, self.take_while(|c| !c.is_whitespace() && c != ':' && c != '=').to_owned()))
    }

    fn end_of_value(&mut self, context: Context) -> Result<(), String> {
        self.skip_blanks();
        match self.peek() {
            Some(',' | ';') => self.advance(1),
            Some('}') if context == Context::Map => {}
            // As nats-server has it: a brace too many ends the value as well.
            Some('}') => self.advance(1),
            None | Some('\n' | '\r') => {}
            Some(_) if self.at_comment() => {}
            Some(found) => {
                let expected = match context {
                    Context::TopLevel => "a top-level value to end with a new line, comment or EOF",
                    Context::Map => "a map value terminator \",\" or a map terminator \"}\"",
                };
                return Err(self.fault(format!("Expected {expected}, but got '{found}' instead.")));
            }
        }
        Ok(())
    }

    fn include(&mut self) -> Result<(), String> {
        self.skip_blanks();
        let path = match self.peek() {
            Some('\n' | '\r') | None => return Err(self.fault("Expected include value but found new line")),
            Some(quote @ ('"' | '\'')) => {
                self.advance(1);
                self.until_quote(quote)?
            }
            Some(_) => self.take_while(|c| !is_blank(c) && !is_line_end(c) && !",;}#".contains(c)),
        };
        let fault = |error| format!("error parsing include file '{path}', {error}");
        self.shared.descend().map_err(fault)?;
        let from = self.shared.files.get(self.file).map_or("", String::as_str);
        let included = self.shared.sources.include(from, path).map_err(fault)?;
        self.shared.charge(INCLUDE_WEIGHT + included.text.len()).map_err(fault)?;
        let file = self.shared.files.len();
        self.shared.files.push(included.name);
        Parser::new(&included.text, file, self.shared).pairs(Context::TopLevel).map_err(fault)?;
        self.shared.ascend();
        Ok(())
    }

    fn value(&mut self) -> Result<Item, String> {
        self.shared.descend().map_err(|error| self.fault(error))?;
        let mut position = self.position();
        let value = match self.peek() {
            None => return Err(self.fault("Expected value but found EOF")),
            Some('{') => {
                self.advance(1);
                self.shared.scopes.push(Map::new());
                self.pairs(Context::Map)?;
                Value::Map(self.shared.scopes.pop().unwrap_or_default())
            }
            Some('[') => {
                self.advance(1);
                Value::Array(self.array()?)
            }
            Some('(') => Value::String(self.block()?.to_owned()),
            Some(quote @ ('"' | '\'')) => {
                self.advance(1);
                position = self.position();
                Value::String(self.quoted(quote)?)
            }
            Some(found) if ",;]}".contains(found) => {
                return Err(self.fault(format!("Unexpected map value terminator \"{found}\".")));
            }
            Some(_) => self.bare()?,
        };
        let weight = if let Value::String(text) = &value { text.len() } else { 0 };
        self.shared.charge(VALUE_WEIGHT + weight).map_err(|error| self.fault(error))?;
        self.shared.ascend();
        Ok(Item { position, value })
    }

    /// The values of an array, past its closing bracket.
    fn array(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        loop {
            self.skip_blank_lines();
            match self.peek() {
                None => return Err(self.fault("Unexpected EOF processing array.")),
                Some(']') => {
                    self.advance(1);
                    return Ok(items);
                }
                Some(',') => return Err(self.fault("Unexpected array value terminator ','.")),
                Some(_) => items.push(self.value()?),
            }
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.advance(1),
                None | Some('\n' | '\r' | ']') => {}
                Some(_) if self.at_comment() => {}
                Some(found) => {
                    return Err(self.fault(format!(
                        "Expected an array value terminator \",\" or an array terminator \"]\", but got '{found}' instead."
                    )));
                }
            }
        }
    }

    /// The lines between `(` and the `)` that stands alone on its line, as they are.
    fn block(&mut self) -> Result<&'t str, String> {
        self.advance(1);
        let rest = &self.text[self.offset..];
        let ends_line = |end: &usize| rest[end + 2..].is_empty() || rest[end + 2..].starts_with(['\n', '\r']);
        let end = rest.match_indices("\n)").map(|(end, _)| end).find(ends_line);
        let end = end.ok_or_else(|| self.fault("Unexpected EOF processing block."))?;
        self.advance(end + 2);
        Ok(&rest[..end])
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        if quote == '\'' {
            return Ok(self.until_quote(quote)?.to_owned());
        }
        let rest = &self.text[self.offset..];
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| self.fault("Unexpected EOF."))?;
        let text = unescape(&rest[..end]).map_err(|error| self.fault(error))?;
        self.advance(end + 1);
        Ok(text)
    }

    /// A number, boolean, variable or string without quotes.
    fn bare(&mut self) -> Result<Value, String> {
        let line = self.line;
        let token = self.take_while(|c| !is_blank(c) && !is_line_end(c) && !",;]}".contains(c));
        match token.strip_prefix('$') {
            // The start of a bcrypt hash, which is not a variable.
            Some(name) if !name.starts_with("2a$") => self.variable(name, line),
            _ => parse_bare(token).map_err(|error| self.fault(error)),
        }
    }

    fn variable(&mut self, name: &str, line: usize) -> Result<Value, String> {
        let fault = |error: String| format!("variable reference for '{name}' on line {line} {error}");
        let shared = &mut *self.shared;
        if let Some(entry) = shared.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name)) {
            entry.is_variable = true;
            let size = measure(&entry.value);
            if shared.depth + size.depth > MAX_DEPTH {
                return Err(fault(format!("nests deeper than {MAX_DEPTH} levels")));
            }
            let value = entry.value.clone();
            shared.charge(size.weight).map_err(fault)?;
            return Ok(value);
        }
        let text = shared.sources.variable(name).ok_or_else(|| fault("can not be found".to_owned()))?;
        let fault = |error| fault(format!("could not be parsed: {error}"));
        if shared.resolving.iter().any(|outer| outer == name) {
            return Err(fault(format!("variable reference cycle for '{name}'")));
        }
        shared.charge(text.len()).map_err(fault)?;
        shared.resolving.push(name.to_owned());
        let value = Parser::new(&text, self.file, shared).lone_value().map_err(fault)?;
        self.shared.resolving.pop();
        Ok(value)
    }

    /// A text that is one value and nothing else; none at all is the empty string. It begins as after a key, where `#secret`
    /// is no comment.
    fn lone_value(&mut self) -> Result<Value, String> {
        self.take_while(|c| is_blank(c) || is_line_end(c));
        if self.peek().is_none() {
            return Ok(Value::String(String::new()));
        }
        let value = self.value()?.value;
        // Nor may it go on behind what ends a value in a file: half a password is none.
        self.skip_blank_lines();
        match self.peek() {
            None => Ok(value),
            Some(found) => Err(self.fault(format!("Expected one value, but got '{found}' after it."))),
        }
    }

    fn until_quote(&mut self, quote: char) -> Result<&'t str, String> {
        let rest = &self.text[self.offset..];
        let end = rest.find(quote).ok_or_else(|| self.fault("Unexpected EOF."))?;
        self.advance(end + 1);
        Ok(&rest[..end])
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.offset..];
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.advance(end);
        &rest[..end]
    }

    fn skip_blank_lines(&mut self) {
        loop {
            self.skip_whitespace();
            if !self.at_comment() {
                return;
            }
            self.take_while(|c| !is_line_end(c));
        }
    }

    fn skip_whitespace(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| c.is_whitespace() && !is_line_end(c));
    }

    fn at_comment(&self) -> bool {
        let rest = &self.text[self.offset..];
        rest.starts_with('#') || rest.starts_with("//")
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.advance(expected.len_utf8());
        }
        found
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.text.as_bytes()[self.offset..self.offset + bytes];
        for (index, _) in passed.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.line += 1;
            self.line_origin = self.offset + index;
        }
        self.offset += bytes;
    }

    fn position(&self) -> Position {
        Position { file: self.file, line: self.line, column: self.offset - self.line_origin }
    }

    fn fault(&self, message: impl Into<String>) -> String {
        format!("Parse error on line {}: '{}'", self.line, message.into())
    }
}

/// What stands between words. Others, such as a no-break space, are parts of a value.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

struct Size {
    weight: usize,
    depth: usize,
}

fn measure(value: &Value) -> Size {
    let mut size = Size { weight: VALUE_WEIGHT, depth: 1 };
    let mut add = |extra: usize, value: &Value| {
        let inner = measure(value);
        size.weight += extra + inner.weight;
        size.depth = size.depth.max(1 + inner.depth);
    };
    match value {
        Value::Map(map) => map.iter().for_each(|(key, entry)| add(key.len(), &entry.value)),
        Value::Array(items) => items.iter().for_each(|item| add(0, &item.value)),
        Value::String(text) => size.weight += text.len(),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {}
    }
    size
}
