//! The log: which events are written where, and in which format.
//!
//! Events go to standard error as far as `-v` asks for them, and to the file of `--log-file`. Only events of imbulk
//! itself are logged: those of the HTTP library may contain whole URLs, and a URL carries the signature.

mod file;
mod text_fields;

use std::fmt;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use file::LogFile;
pub use file::LogFileError;
use text_fields::TextFields;

use crate::clock;
use crate::stderr::{self, LogWriter, MESSAGE, RUN};

/// What the command line asks of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// How often `-v` was given.
    pub verbose: u8,
    /// The log file.
    pub file: Option<PathBuf>,
    /// Whether standard error is a terminal on which the cursor can be moved.
    pub is_terminal: bool,
    /// Whether it shows colours.
    pub has_colours: bool,
    /// The format of the log file, or without one of the log on standard error.
    pub format: LogFormat,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Time, level, message, and the facts as NAME=VALUE
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Begins the log of this process.
///
/// # Errors
/// The log file cannot be opened.
pub fn start(options: LogOptions) -> Result<(), LogFileError> {
    let LogOptions { verbose, file, is_terminal, has_colours, format } = options;
    let file = file.map(LogFile::open).transpose()?;
    // With a log file, the command line asks for the content of that file only.
    let (verbose_on_stderr, format_on_stderr) = if file.is_some() { (0, LogFormat::Text) } else { (verbose, format) };
    stderr::set_up(is_terminal, verbose_on_stderr > 0);
    let mut outputs = vec![
        output(format_on_stderr, has_colours, || LogWriter)
            .with_filter(on_stderr(verbose_on_stderr, is_terminal))
            .boxed(),
    ];
    outputs.extend(file.map(|file| output(format, false, file).with_filter(in_file(verbose)).boxed()));
    tracing_subscriber::registry().with(outputs).init();
    Ok(())
}

/// Waits until the log and all messages are written, as far as anybody reads them. Says how many lines were dropped.
pub fn finish() {
    file::finish();
    stderr::finish();
}

/// The events that standard error shows. Without a terminal, the begin, progress and end of runs are among them.
fn on_stderr(verbose: u8, is_terminal: bool) -> Targets {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let runs = if is_terminal { level } else { level.max(LevelFilter::INFO) };
    // Messages are written to standard error already.
    own(level).with_target(RUN, runs).with_target(MESSAGE, LevelFilter::OFF)
}

/// The events that the log file contains.
fn in_file(verbose: u8) -> Targets {
    own(if verbose < 2 { LevelFilter::INFO } else { LevelFilter::DEBUG })
}

fn own(level: LevelFilter) -> Targets {
    Targets::new().with_target("imbulk", level)
}

/// Writes events in a format. Colours are only for terminals.
fn output<W>(format: LogFormat, has_colours: bool, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => {
            lines.with_ansi(has_colours).with_target(false).with_timer(WallClock).fmt_fields(TextFields).boxed()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            lines.with_target(false).with_timer(WallClock).boxed()
        }
    }
}

/// RFC 3339 in UTC with milliseconds: it sorts as text, and does not depend on the time zone of the machine.
#[derive(Debug)]
struct WallClock;

impl FormatTime for WallClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", clock::now())
    }
}
