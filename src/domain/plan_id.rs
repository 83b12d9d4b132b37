//! The parts of a plan, its id, and the differences from an earlier plan.

use serde::{Deserialize, Serialize};

use super::run_choice::Rerun;
use super::target::RunTarget;

/// Characters of an id. They are 48 bits of a digest, enough because an id is compared with only a few others.
const ID_CHARS: usize = 12;

/// Everything that decides what a command sends for one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanParts {
    /// The job's name.
    pub job: String,
    /// The unfinished runs that are continued, in order.
    pub continues: Vec<ContinuedRun>,
    /// Digest of the input, if its run is begun.
    pub input: Option<String>,
    /// Digest of everything that decides what a row means: operation, options, columns, encoding, delimiter and unusual
    /// ids.
    pub definition: String,
    /// The target's name in the queue.
    pub target: RunTarget,
    /// Scheme, host and port; none for the sandbox, whose port changes with each start.
    pub endpoint: Option<String>,
    /// The admin account that signs the calls.
    pub admin: Option<String>,
    /// Digest of the protected list.
    pub protected: String,
    /// Digest of limits, retries, guards, stops, rejects and backup.
    pub settings: String,
    /// Digest of what decides which rows are carried over, if there are any.
    pub carried: Option<String>,
}

/// A run that is continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuedRun {
    /// Its id.
    pub run: String,
    /// Rows that have no outcome yet.
    pub rows_left: u64,
}

impl PlanParts {
    /// The differences from an earlier plan of the same job, each a clause. `imbulk plan` has no `--again`, so a plan
    /// of a finished input has no digest of it. A missing digest is not a change of the input.
    pub fn differences(&self, earlier: &Self, rerun: Rerun) -> Vec<&'static str> {
        let is_again = rerun == Rerun::Again && (earlier.input.is_none() || !earlier.continues.is_empty());
        let parts = [
            (is_again, "--again requested a new run"),
            (
                !is_again && self.continues != earlier.continues,
                "the unfinished runs that go first changed, or the rows that they have left",
            ),
            (self.input != earlier.input && !(is_again && earlier.input.is_none()), "the input changed"),
            (
                self.definition != earlier.definition,
                "the job's operation, options, columns, encoding, delimiter or unusual_ids changed",
            ),
            (self.target != earlier.target, "the target changed"),
            (self.endpoint != earlier.endpoint, "the endpoint changed"),
            (self.admin != earlier.admin, "the admin account changed"),
            (self.protected != earlier.protected, "the protected list changed"),
            (self.carried != earlier.carried, "the rows that are carried over changed"),
            (self.settings != earlier.settings, "the job's limits, retries, guards, stops, rejects or backup changed"),
        ];
        parts.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect()
    }

    /// Whether anything is sent.
    pub const fn sends(&self) -> bool {
        self.input.is_some() || !self.continues.is_empty()
    }
}

/// The id of a plan for these jobs. Only equal parts in the same order have equal ids.
pub fn plan_id(parts: &[PlanParts]) -> String {
    let text = serde_json::to_string(parts).expect("strings and numbers are JSON");
    let digest = blake3::hash(text.as_bytes()).to_hex();
    digest[..ID_CHARS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> PlanParts {
        PlanParts {
            job: "purge".to_owned(),
            continues: vec![ContinuedRun { run: "0190".to_owned(), rows_left: 7 }],
            input: Some("in".to_owned()),
            definition: "def".to_owned(),
            target: "1400000001".parse().unwrap(),
            endpoint: Some("https://x".to_owned()),
            admin: Some("administrator".to_owned()),
            protected: "list".to_owned(),
            settings: "set".to_owned(),
            carried: None,
        }
    }

    /// Copies of the parts, each with another part changed.
    fn variants() -> Vec<PlanParts> {
        let other = || "other".to_owned();
        let fewer = vec![ContinuedRun { run: "0190".to_owned(), rows_left: 6 }];
        vec![
            PlanParts { continues: fewer, ..parts() },
            PlanParts { input: None, ..parts() },
            PlanParts { definition: other(), ..parts() },
            PlanParts { target: RunTarget::Sandbox, ..parts() },
            PlanParts { endpoint: None, ..parts() },
            PlanParts { admin: None, ..parts() },
            PlanParts { protected: other(), ..parts() },
            PlanParts { settings: other(), ..parts() },
            PlanParts { carried: Some(other()), ..parts() },
        ]
    }

    #[test]
    fn every_changed_part_changes_the_id_and_is_named() {
        assert_eq!(plan_id(&[parts()]), plan_id(&[parts()]));
        assert_eq!(plan_id(&[parts()]).len(), ID_CHARS);
        assert_eq!(parts().differences(&parts(), Rerun::No), [""; 0]);
        let mut said: Vec<&str> = Vec::new();
        for changed in variants() {
            assert_ne!(plan_id(std::slice::from_ref(&changed)), plan_id(&[parts()]), "{changed:?}");
            let differences = changed.differences(&parts(), Rerun::No);
            assert_eq!(differences.len(), 1, "{changed:?}");
            said.extend(differences);
        }
        said.sort_unstable();
        said.dedup();
        assert_eq!(said.len(), variants().len(), "each part has a sentence of its own");
    }

    #[test]
    fn again_is_named_in_place_of_what_it_makes_different() {
        let again =
            |earlier: PlanParts| PlanParts { continues: Vec::new(), ..parts() }.differences(&earlier, Rerun::Again);
        let finished = PlanParts { continues: Vec::new(), input: None, ..parts() };
        assert_eq!(again(finished), ["--again requested a new run"]);
        assert_eq!(again(parts()), ["--again requested a new run"]);
        let of_other_input = PlanParts { input: Some("other".to_owned()), ..parts() };
        assert_eq!(again(of_other_input), ["--again requested a new run", "the input changed"]);
        assert_eq!(again(PlanParts { continues: Vec::new(), ..parts() }), [""; 0]);
    }

    #[test]
    fn the_id_depends_on_which_jobs_there_are_and_on_their_order() {
        let other = PlanParts { job: "other".to_owned(), ..parts() };
        let ids = [
            plan_id(&[parts()]),
            plan_id(std::slice::from_ref(&other)),
            plan_id(&[parts(), other.clone()]),
            plan_id(&[other, parts()]),
        ];
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
    }
}
