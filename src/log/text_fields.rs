//! The facts of an event as text: the message, then NAME=VALUE. A value has quotes only if it needs them.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes the facts of an event on one line.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor { out: writer, result: Ok(()), is_first: true };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct TextVisitor<W> {
    out: W,
    result: fmt::Result,
    is_first: bool,
}

impl<W: Write> TextVisitor<W> {
    fn write(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.try_write(field.name(), value);
        }
        self.is_first = false;
    }

    fn try_write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !self.is_first {
            self.out.write_char(' ')?;
        }
        if name == "message" {
            return write!(OneLine(&mut self.out), "{value:?}");
        }
        write!(self.out, "{name}=")?;
        write_value(&mut self.out, &format!("{value:?}"))
    }
}

impl<W: Write> Visit for TextVisitor<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, &format_args!("{value}"));
    }
}

/// Writes a value so that spaces separate facts and a line feed separates events.
fn write_value(out: &mut impl Write, value: &str) -> fmt::Result {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    if !value.is_empty() && value.bytes().all(is_plain) { out.write_str(value) } else { write!(out, "{value:?}") }
}

/// Makes characters visible that would end the line or act on a terminal.
struct OneLine<'w, W>(&'w mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\'' | '\\' => self.0.write_char(character)?,
                other => write!(self.0, "{}", other.escape_debug())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let mut out = String::new();
        write_value(&mut out, text).unwrap();
        out
    }

    #[test]
    fn a_value_has_quotes_only_if_it_needs_them() {
        assert_eq!(value("0190e8b0-0000/in.csv:3"), "0190e8b0-0000/in.csv:3");
        assert_eq!(value(""), r#""""#);
        assert_eq!(value("two words"), r#""two words""#);
        assert_eq!(value("a=\"b\"\n\u{1b}[2J"), r#""a=\"b\"\n\u{1b}[2J""#);
    }

    #[test]
    fn a_message_stays_on_one_line_and_acts_on_no_terminal() {
        let mut out = String::new();
        write!(OneLine(&mut out), "the job's \"x\": bad\nhint: \u{1b}[2J\u{202e}é").unwrap();
        assert_eq!(out, r#"the job's "x": bad\nhint: \u{1b}[2J\u{202e}é"#);
    }
}
