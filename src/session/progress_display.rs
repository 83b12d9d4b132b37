//! Shows progress on standard error: a bar on a terminal, else a line every half minute.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::progress::{Phase, ProgressSnapshot, RateMeter};
use crate::report::progress::line;
use crate::stderr::{Terminal, tell};

/// The time between two lines where no terminal is: the log of a night stays readable.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The bar is drawn at most this often per second.
const DRAWS_PER_SECOND: u8 = 20;

/// Shows the progress of one phase.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    phase: Phase,
    meter: RateMeter,
    form: DisplayForm,
}

#[derive(Debug)]
enum DisplayForm {
    Bar(ProgressBar),
    /// The next line is due at this time of the phase.
    Lines(Duration),
}

impl ProgressDisplay {
    /// Shows a bar if standard error is a terminal, else lines.
    pub(super) fn new(phase: Phase) -> Self {
        let form = if std::io::stderr().is_terminal() {
            let terminal = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWS_PER_SECOND);
            DisplayForm::Bar(ProgressBar::with_draw_target(None, terminal).with_style(style(None)))
        } else {
            DisplayForm::Lines(LINE_EVERY)
        };
        Self { phase, meter: RateMeter::default(), form }
    }

    /// Shows a snapshot. It is cheap enough to be called several times per second.
    pub(super) fn update(&mut self, now: &ProgressSnapshot) {
        let rates = self.meter.rates(now);
        match &mut self.form {
            DisplayForm::Bar(bar) => {
                if let Some(total) = now.rows_total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_style(style(now.rows_total));
                    bar.set_length(total);
                }
                bar.set_position(now.rows_done);
                bar.set_message(line(self.phase, now, rates));
            }
            DisplayForm::Lines(due) => {
                if now.elapsed >= *due {
                    *due = now.elapsed + LINE_EVERY;
                    tell(line(self.phase, now, rates));
                }
            }
        }
    }

    /// Removes the bar, so that the next message starts on a clean line.
    pub(super) fn finish(self) {
        match self.form {
            DisplayForm::Bar(bar) => bar.finish_and_clear(),
            DisplayForm::Lines(_) => {}
        }
    }
}

/// A bar if the total is known, else a spinner.
fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => "{bar:20} {wide_msg}",
        None => "{spinner} {wide_msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_a_line_is_due_every_half_minute() {
        let form = DisplayForm::Lines(LINE_EVERY);
        let mut display = ProgressDisplay { phase: Phase::Sending, meter: RateMeter::default(), form };
        let mut lines = 0;
        for second in 0..=90 {
            let before = due(&display);
            display.update(&ProgressSnapshot { elapsed: Duration::from_secs(second), ..ProgressSnapshot::default() });
            lines += u32::from(due(&display) != before);
        }
        assert_eq!(lines, 3);
    }

    fn due(display: &ProgressDisplay) -> Duration {
        match &display.form {
            DisplayForm::Lines(due) => *due,
            DisplayForm::Bar(_) => panic!("standard error of tests is no terminal"),
        }
    }
}
