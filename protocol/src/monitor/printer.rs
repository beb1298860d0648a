//! JSON that is written piece by piece.

use serde::Serialize;

use super::format::{compact_json, pretty_json};

/// Writes what [`pretty_json`] or [`compact_json`] writes, but not all of it at once.
#[derive(Debug, Default)]
pub(super) struct Printer {
    is_compact: bool,
    text: String,
    taken_bytes: usize,
    /// How many objects and lists are open.
    depth: usize,
    /// The innermost of them has something in it.
    is_begun: bool,
}

impl Printer {
    /// One that leaves out all blanks.
    pub(super) fn compact() -> Self {
        Self { is_compact: true, ..Self::default() }
    }

    /// How much was written and not taken yet.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// How much was written in all.
    pub(super) fn written_bytes(&self) -> usize {
        self.taken_bytes + self.text.len()
    }

    /// Takes out what was written.
    pub(super) fn take(&mut self) -> String {
        self.taken_bytes += self.text.len();
        std::mem::take(&mut self.text)
    }

    /// Begins an object: the page itself, or an element of the list that is open.
    pub(super) fn open_object(&mut self) {
        if self.depth > 0 {
            self.next();
        }
        self.open('{');
    }

    /// Begins a list that is a field of the object that is open.
    pub(super) fn open_list(&mut self, name: &str) {
        self.next();
        self.text.extend(["\"", name, if self.is_compact { "\":" } else { "\": " }]);
        self.open('[');
    }

    /// Writes the fields of a struct as those of the object that is open.
    pub(super) fn fields(&mut self, of: &impl Serialize) {
        let json = self.json(of);
        let (start, end) = if self.is_compact { ("{", "}") } else { ("{\n  ", "\n}") };
        let fields = json.strip_prefix(start).and_then(|json| json.strip_suffix(end));
        if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
            self.next();
            // They are indented once already.
            self.lines(fields, self.depth - 1);
        }
    }

    /// Writes an element of the list that is open.
    pub(super) fn element(&mut self, value: &impl Serialize) {
        self.next();
        self.lines(&self.json(value), self.depth);
    }

    /// Ends the object that is open.
    pub(super) fn close_object(&mut self) {
        self.close('}');
    }

    /// Ends the list that is open.
    pub(super) fn close_list(&mut self) {
        self.close(']');
    }

    fn json(&self, value: &impl Serialize) -> String {
        if self.is_compact { compact_json(value) } else { pretty_json(value) }
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.is_begun = false;
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        if self.is_begun {
            self.new_line(self.depth);
        }
        self.text.push(bracket);
        self.is_begun = true;
    }

    /// Begins a field or an element.
    fn next(&mut self) {
        if self.is_begun {
            self.text.push(',');
        }
        self.new_line(self.depth);
        self.is_begun = true;
    }

    /// The first line goes on where the text ends.
    fn lines(&mut self, json: &str, depth: usize) {
        for (number, line) in json.split('\n').enumerate() {
            if number > 0 {
                self.new_line(depth);
            }
            self.text.push_str(line);
        }
    }

    fn new_line(&mut self, depth: usize) {
        if !self.is_compact {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Page {
        a: u8,
        b: &'static str,
        list: Vec<Element>,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Default, Serialize)]
    struct Start {
        a: u8,
        b: &'static str,
    }

    #[derive(Clone, Default, Serialize)]
    struct Element {
        c: Vec<u8>,
        d: Rest,
    }

    #[derive(Clone, Default, Serialize)]
    struct Rest {
        #[serde(skip_serializing_if = "Option::is_none")]
        e: Option<u8>,
    }

    #[test]
    fn pieces_make_the_text_that_is_written_at_once() {
        let element = Element { c: vec![1, 2], d: Rest { e: Some(3) } };
        for (elements, e) in [(0, None), (0, Some(1)), (1, None), (3, Some(2))] {
            let page = Page { a: 1, b: "<\n>", list: vec![element.clone(); elements], rest: Rest { e } };
            assert_eq!(printed(Printer::default(), &page), pretty_json(&page));
            assert_eq!(printed(Printer::compact(), &page), compact_json(&page));
        }
    }

    fn printed(mut printer: Printer, page: &Page) -> String {
        printer.open_object();
        printer.fields(&Start { a: page.a, b: page.b });
        printer.open_list("list");
        for each in &page.list {
            printer.open_object();
            printer.open_list("c");
            each.c.iter().for_each(|number| printer.element(number));
            printer.close_list();
            printer.fields(&serde_json::json!({ "d": each.d }));
            printer.close_object();
        }
        let before = printer.take();
        printer.close_list();
        printer.fields(&page.rest);
        printer.close_object();
        let written_bytes = printer.written_bytes();
        let text = before + &printer.take();
        assert_eq!(written_bytes, text.len());
        text
    }

    #[test]
    fn an_element_is_indented_as_deep_as_it_stands() {
        let mut printer = Printer::default();
        printer.open_object();
        printer.open_list("list");
        printer.element(&Element { c: vec![1], d: Rest::default() });
        printer.element(&"x");
        printer.close_list();
        printer.close_object();
        let page = serde_json::json!({ "list": [{ "c": [1], "d": {} }, "x"] });
        assert_eq!(printer.take(), pretty_json(&page));
    }
}
