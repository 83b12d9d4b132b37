//! Shows progress: a bar on a terminal, and a line of the log every half minute.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::progress::{Phase, ProgressSnapshot, RateMeter, Rates};
use crate::report::progress::line;
use crate::stderr::{RUN, Terminal};

/// The time between two lines of the log: that of a night stays readable.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The bar is drawn at most this often per second.
const DRAWS_PER_SECOND: u8 = 20;

/// Shows the progress of one phase.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    phase: Phase,
    meter: RateMeter,
    /// The bar on a terminal.
    bar: Option<ProgressBar>,
    /// The time of the phase at which the next line of the log is due.
    line_due: Duration,
}

impl ProgressDisplay {
    /// Shows a bar if standard error is a terminal, and logs a line at an interval.
    pub(super) fn new(phase: Phase) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let terminal = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWS_PER_SECOND);
            ProgressBar::with_draw_target(None, terminal).with_style(style(None))
        });
        Self { phase, meter: RateMeter::default(), bar, line_due: LINE_EVERY }
    }

    /// Shows a snapshot. It is cheap enough to be called several times per second.
    pub(super) fn update(&mut self, now: &ProgressSnapshot) {
        let rates = self.meter.rates(now);
        if let Some(bar) = &self.bar {
            if let Some(total) = now.rows_total.filter(|total| bar.length() != Some(*total)) {
                bar.set_style(style(now.rows_total));
                bar.set_length(total);
            }
            bar.set_position(now.rows_done);
            bar.set_message(line(self.phase, now, rates));
        }
        if now.elapsed >= self.line_due {
            self.line_due = now.elapsed + LINE_EVERY;
            log_progress(self.phase, now, rates);
        }
    }

    /// Removes the bar, so that the next message starts on a clean line.
    pub(super) fn finish(self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn log_progress(phase: Phase, now: &ProgressSnapshot, rates: Rates) {
    let ProgressSnapshot { rows_done, rows_total, calls, failed, in_flight, .. } = now;
    let phase_name = phase.name();
    tracing::info!(
        target: RUN,
        event = "progress",
        phase = phase_name,
        rows_done,
        rows_total,
        calls,
        failed,
        in_flight,
        "{}",
        line(phase, now, rates)
    );
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
    fn a_line_is_due_every_half_minute() {
        let mut display = ProgressDisplay::new(Phase::Sending);
        let mut lines = 0;
        for second in 0..=90 {
            let before = display.line_due;
            display.update(&ProgressSnapshot { elapsed: Duration::from_secs(second), ..ProgressSnapshot::default() });
            lines += u32::from(display.line_due != before);
        }
        assert_eq!(lines, 3);
    }
}
