//! Job files.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use imbulk_sandbox::Command;

use crate::app::{ADMIN, APP, FAST};
use crate::rows::{self, InputRow};
use crate::workspace::{Workspace, WorkspaceSetup};

/// A job file, with its input. Its caps are high, its delays short and its guards wide unless a test changes them.
pub struct JobFile {
    name: String,
    operation: Command,
    sections: BTreeMap<&'static str, BTreeMap<String, String>>,
    rows: Option<Vec<InputRow>>,
    protected: Option<String>,
}

/// The name of the operation of imbulk that sends a command.
fn operation(command: Command) -> &'static str {
    match command {
        Command::AccountImport => "account_import",
        other => other.name(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Required,
    All,
}

impl JobFile {
    /// A job with this name, which reads `NAME.csv`. A delete of friends removes one side only.
    pub fn new(name: &str, operation: Command) -> Self {
        let mut job = Self { name: name.to_owned(), operation, sections: BTreeMap::new(), rows: None, protected: None };
        job.set("input", "path", &format!("{:?}", format!("{name}.csv")));
        job.set("app", "sdkappid", &APP);
        job.set("app", "identifier", &format!("{ADMIN:?}"));
        job.set("limits", "calls_per_second", &FAST);
        job.set("limits", "app_calls_per_second", &FAST);
        job.set("limits", "cap_was_raised", &true);
        job.set("guard", "max_rejected", &1);
        job.set("stop", "after_items", &1_000_000);
        job.set("retry", "base_delay", &"\"1ms\"");
        job.set("retry", "max_delay", &"\"20ms\"");
        job.set_options(Which::Required, "single");
        job
    }

    fn set(&mut self, section: &'static str, key: &str, toml: &dyn Display) {
        self.sections.entry(section).or_default().insert(key.to_owned(), toml.to_string());
    }

    /// Sets a key of the file to a value in TOML. The section is empty for the keys above all sections.
    #[must_use]
    pub fn with(mut self, section: &'static str, key: &str, toml: impl Display) -> Self {
        self.set(section, key, &toml);
        self
    }

    /// Removes a key of the file.
    #[must_use]
    pub fn without(mut self, section: &'static str, key: &str) -> Self {
        self.sections.entry(section).or_default().remove(key);
        self
    }

    /// Makes the deletion two-way.
    #[must_use]
    pub fn both(mut self) -> Self {
        self.set_options(Which::All, "both");
        self
    }

    /// Removes all options of the operation.
    #[must_use]
    pub fn without_options(mut self) -> Self {
        self.sections.remove("options");
        self
    }

    /// Gives a value to options of the operation, which its shipped job file lists: those that are required are not
    /// in a comment.
    fn set_options(&mut self, which: Which, value: &str) {
        let path =
            format!("{}/../../jobs/{}.toml", env!("CARGO_MANIFEST_DIR"), operation(self.operation).replace('_', "-"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let section = text.lines().skip_while(|line| *line != "[options]").skip(1);
        for line in section.take_while(|line| !line.starts_with('[')) {
            let is_key = |key: &&str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let (shown, is_required) = line.strip_prefix("# ").map_or((line, true), |shown| (shown, false));
            let key = shown.split_once(" = ").map(|(key, _)| key).filter(is_key);
            if let Some(key) = key.filter(|_| is_required || which == Which::All) {
                self.set("options", key, &format!("{value:?}"));
            }
        }
    }

    /// Adds the input: `NAME.csv` with these rows, which [`Self::write`] writes.
    #[must_use]
    pub fn rows(mut self, rows: &[InputRow]) -> Self {
        self.rows = Some(rows.to_vec());
        self
    }

    /// Adds a protected list: `keep.txt` with this text, which [`Self::write`] writes.
    #[must_use]
    pub fn protecting(mut self, list: &str) -> Self {
        self.protected = Some(list.to_owned());
        self.with("guard", "protected", "\"keep.txt\"")
    }

    /// Writes the file on a new workspace that fits its operation. Returns the workspace and the name of the file.
    pub fn in_a_workspace(&self) -> (Workspace, String) {
        self.on(WorkspaceSetup::of(self.operation))
    }

    /// Writes the file on a new workspace with this setup. Returns the workspace and the name of the file.
    pub fn on(&self, setup: WorkspaceSetup) -> (Workspace, String) {
        let workspace = Workspace::with(setup);
        let file = self.write(&workspace);
        (workspace, file)
    }

    /// The text of the file.
    pub fn toml(&self, workspace: &Workspace) -> String {
        let mut text = format!("name = {:?}\noperation = {:?}\n", self.name, operation(self.operation));
        for (section, keys) in &self.sections {
            if !section.is_empty() {
                let _ = writeln!(text, "\n[{section}]");
            }
            if *section == "app" && !keys.contains_key("endpoint") && !keys.contains_key("region") {
                let _ = writeln!(text, "endpoint = {:?}", workspace.endpoint());
            }
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    /// Writes the file, and the input and the protected list if they were given. Returns the name of the file.
    pub fn write(&self, workspace: &Workspace) -> String {
        let file = format!("{}.toml", self.name);
        workspace.write(&file, self.toml(workspace));
        if let Some(rows) = &self.rows {
            workspace.write(&format!("{}.csv", self.name), rows::csv(self.operation, rows));
        }
        if let Some(list) = &self.protected {
            workspace.write("keep.txt", list);
        }
        file
    }
}
