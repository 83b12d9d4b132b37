//! The text format of Prometheus, as far as a metrics file of imbulk needs it.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write as _;

use super::Metric;

/// The labels of a value, in the order in which they are written.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The names of labels.
const LABELS: [&str; 4] = ["job", "target", "operation", "outcome"];

/// The text is not a metrics file that imbulk wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a metric of imbulk")]
pub struct ForeignText {
    /// The first line that imbulk did not write, from 1.
    pub line: usize,
}

/// Values with their metrics and labels.
#[derive(Debug, Default)]
pub(super) struct MetricValues(Vec<(&'static str, Labels, f64)>);

impl MetricValues {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str, metrics: &[Metric]) -> Result<Self, ForeignText> {
        let mut values = Self::default();
        for (at, line) in text.lines().enumerate() {
            if line.starts_with("# HELP imbulk_") || line.starts_with("# TYPE imbulk_") {
                continue;
            }
            values.0.push(value(line, metrics).ok_or(ForeignText { line: at + 1 })?);
        }
        Ok(values)
    }

    pub(super) fn add(&mut self, name: &'static str, labels: &Labels, value: f64) {
        self.0.push((name, labels.clone(), value));
    }

    /// Removes the values whose labels are selected, and returns them.
    pub(super) fn remove(&mut self, is_selected: impl Fn(&Labels) -> bool) -> Vec<(&'static str, Labels, f64)> {
        let (selected, others) =
            std::mem::take(&mut self.0).into_iter().partition(|(_, labels, _)| is_selected(labels));
        self.0 = others;
        selected
    }

    /// The text of the file. All values of a metric must follow its type.
    pub(super) fn text(&self, metrics: &[Metric]) -> String {
        let mut text = String::new();
        for (name, kind, help) in metrics {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (_, labels, value) in self.0.iter().filter(|(other, _, _)| other == name) {
                let labels: Vec<String> =
                    labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escape(text))).collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
            }
        }
        text
    }
}

/// Reads `name{label="text",…} value`.
fn value(line: &str, metrics: &[Metric]) -> Option<(&'static str, Labels, f64)> {
    let (name, rest) = line.split_once('{')?;
    let (name, _, _) = metrics.iter().find(|(other, _, _)| *other == name)?;
    let mut labels = Labels::new();
    let mut rest = rest;
    loop {
        let (label, quoted) = rest.split_once("=\"")?;
        let label = LABELS.iter().find(|other| **other == label)?;
        let (text, after) = unescape(quoted)?;
        labels.push((label, text));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => {
                let is_own = labels.len() >= 3 && labels.iter().zip(LABELS).all(|((label, _), own)| *label == own);
                let value = after.strip_prefix("} ")?.parse().ok()?;
                return is_own.then_some((name, labels, value));
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The text up to the closing quote, and what follows it.
fn unescape(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [Metric; 2] = [("imbulk_a", "gauge", "A."), ("imbulk_b_total", "counter", "B.")];

    #[test]
    fn what_is_written_reads_back_equal() {
        let labels: Labels =
            vec![("job", "a\"b\\c\nd,e}".to_owned()), ("target", String::new()), ("operation", "\\n".to_owned())];
        let mut values = MetricValues::default();
        values.add("imbulk_b_total", &labels, 1_234_567.0);
        values.add("imbulk_a", &labels, 0.25);
        let text = values.text(&METRICS);
        insta::assert_snapshot!(text, @r#"
        # HELP imbulk_a A.
        # TYPE imbulk_a gauge
        imbulk_a{job="a\"b\\c\nd,e}",target="",operation="\\n"} 0.25
        # HELP imbulk_b_total B.
        # TYPE imbulk_b_total counter
        imbulk_b_total{job="a\"b\\c\nd,e}",target="",operation="\\n"} 1234567
        "#);
        assert_eq!(MetricValues::parse(&text, &METRICS).unwrap().text(&METRICS), text);
    }

    #[test]
    fn a_text_of_another_program_is_not_read() {
        let own = "imbulk_a{job=\"x\",target=\"y\",operation=\"z\"} 1";
        assert!(MetricValues::parse(own, &METRICS).is_ok());
        for other in [
            "UserID",
            "",
            "node_a{job=\"x\",target=\"y\",operation=\"z\"} 1",
            "imbulk_a 1",
            "imbulk_a{job=\"x\",operation=\"z\",target=\"y\"} 1",
            "imbulk_a{job=\"x\",target=\"y\",operation=\"z\"} one",
            "imbulk_a{job=\"x\",target=\"y\",operation=\"z} 1",
            "# HELP node_a A.",
        ] {
            let error = MetricValues::parse(&format!("{own}\n{other}\n"), &METRICS).unwrap_err();
            assert_eq!(error.line, 2, "{other}");
        }
    }
}
