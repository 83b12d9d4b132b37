//! Fits lines into the columns of a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where the value of a figure begins, after its name.
const VALUE: usize = 15;

/// Wraps each line that has more columns than `width`, at spaces where that is possible. The rest of a figure begins
/// below its value, that of any other line two columns further to the right.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line;
        let hanging = " ".repeat(indentation(line).min(width / 2));
        let mut indent = "";
        while indent.len() + rest.width() > width {
            let (head, tail) = rest.split_at(break_at(rest, width - indent.len()));
            wrapped.extend([indent, head.trim_end(), "\n"]);
            rest = tail.trim_start();
            indent = &hanging;
        }
        wrapped.extend([indent, rest, "\n"]);
    }
    wrapped
}

/// `text` with at most `width` columns: `purge-trial-acco…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = fitting(text, width.saturating_sub(1));
    format!("{}…", text[..kept].trim_end())
}

fn indentation(line: &str) -> usize {
    let spaces = line.len() - line.trim_start_matches(' ').len();
    let is_figure = spaces == 0 && line.as_bytes().get(VALUE - 1) == Some(&b' ') && line.is_char_boundary(VALUE);
    if is_figure || spaces >= VALUE { VALUE } else { spaces + 2 }
}

/// The place of the last space within these columns that is not part of the indentation; without one, their end.
fn break_at(text: &str, width: usize) -> usize {
    let end = fitting(text, width);
    let begin = text.len() - text.trim_start_matches(' ').len();
    let head = &text[..end];
    let at = if text[end..].starts_with(' ') { Some(end) } else { head.rfind(' ') };
    at.filter(|at| *at > begin).unwrap_or(end)
}

/// How many bytes of the text fit into these columns, at least one character.
fn fitting(text: &str, width: usize) -> usize {
    let mut columns = 0;
    for (at, character) in text.char_indices() {
        columns += character.width().unwrap_or(0);
        if columns > width && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rest_of_a_line_begins_below_its_value() {
        let text =
            "reason         fuse: 812 of 1000 items failed with code 70500\nhint: look at the results of it\nx\n";
        insta::assert_snapshot!(wrap(text, 30), @r"
        reason         fuse: 812 of
                       1000 items
                       failed with
                       code 70500
        hint: look at the results of
          it
        x
        ");
    }

    #[test]
    fn a_word_that_is_too_long_is_broken() {
        assert_eq!(
            wrap("queue          /srv/cleanup/imbulk.db", 20),
            "queue\n          /srv/clean\n          up/imbulk.\n          db\n"
        );
        assert_eq!((cut("用户表.csv", 7), cut("abcdef", 6)), ("用户表…".to_owned(), "abcdef".to_owned()));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_and_nothing_is_lost(text in "[a-z用 ]{0,200}", width in 8..100_usize) {
            let wrapped = wrap(&text, width);
            prop_assert!(wrapped.lines().all(|line| line.width() <= width), "{wrapped:?}");
            let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&wrapped), letters(&text));
        }
    }
}
