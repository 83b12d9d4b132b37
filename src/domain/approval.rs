//! Approval by a second person: what is asked for, and whether a run may begin because of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::target::RunTarget;

/// The namespace of the signature of the person who approves.
pub const APPROVAL: &str = "imbulk-approval";
/// The namespace of the signature of the person who asks.
pub const REQUEST: &str = "imbulk-approval-request";
/// Hours for which an approval may be used, from the moment of its request.
pub const VALID_HOURS: i64 = 24;

/// What a second person signs: a plan, with its runs and their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The version of the format.
    pub schema: u32,
    /// What signing this file means.
    pub meaning: String,
    /// The id of the plan.
    pub plan: String,
    /// The runs that the plan would send, in order.
    pub runs: Vec<ApprovedRun>,
    /// The fingerprint of the key of the person who asks.
    pub requested_by: String,
    /// The first moment at which the approval is not valid any more (RFC 3339).
    pub expires_at: String,
}

/// A run of an approved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedRun {
    /// The job.
    pub job: String,
    /// The id of the run.
    pub run: String,
    /// The target.
    pub target: RunTarget,
    /// The operation.
    pub operation: String,
    /// Its options and their values, as JSON.
    pub options: String,
    /// Rows of the run.
    pub rows: u64,
    /// Items to be sent.
    pub items: u64,
}

/// A person who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The name in the allowed_signers file.
    pub principal: String,
    /// The fingerprint of the key.
    pub key: String,
}

/// An approval whose signatures are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedApproval {
    /// What was signed.
    pub request: ApprovalRequest,
    /// Who asked.
    pub requester: SignedBy,
    /// Who approved.
    pub approver: SignedBy,
    /// Whether an earlier session has begun a run with it.
    pub is_used: bool,
}

/// Why an approval does not allow a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalRefusal {
    /// The job requires one, and none is given.
    Missing,
    /// It is too old.
    Expired,
    /// The person who asked approved it, or signed with the same key.
    OwnKey,
    /// It is for another plan, other runs or other numbers.
    OtherPlan,
    /// A session has begun a run with it before.
    Used,
}

impl ApprovalRefusal {
    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Missing => {
                "`imbulk plan JOB --approval-request FILE --key KEY` writes what a second person signs; then add \
                 --plan ID --approval FILE"
            }
            Self::Used => {
                "if the approved run is unfinished, leave out --plan and --approval to continue it; otherwise ask for \
                 a new approval with `imbulk plan JOB --approval-request FILE --key KEY`"
            }
            Self::Expired | Self::OtherPlan => {
                "ask for a new approval with `imbulk plan JOB --approval-request FILE --key KEY`"
            }
            Self::OwnKey => "another person of the allowed_signers file signs with `ssh-keygen -Y sign`",
        }
    }
}

impl fmt::Display for ApprovalRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a second person has to approve this run",
            Self::Expired => "the approval has expired",
            Self::OwnKey => "the person who asked for the approval signed it",
            Self::OtherPlan => "the approval is for another plan, another run or other numbers",
            Self::Used => "the approval was already used",
        })
    }
}

/// Whether a run may begin. `was_approved`: it has begun with an approval before, so that only its rest is sent.
///
/// # Errors
/// The first reason against it.
pub fn decide(
    given: Option<&SignedApproval>,
    (plan, run): (Option<&str>, &ApprovedRun),
    was_approved: bool,
    now: Timestamp,
) -> Result<(), ApprovalRefusal> {
    let Some(SignedApproval { request, requester, approver, is_used }) = given else {
        return if was_approved { Ok(()) } else { Err(ApprovalRefusal::Missing) };
    };
    if *is_used {
        return Err(ApprovalRefusal::Used);
    }
    if requester.key == approver.key || requester.principal == approver.principal {
        return Err(ApprovalRefusal::OwnKey);
    }
    if requester.key != request.requested_by || plan != Some(&request.plan) || !request.runs.contains(run) {
        return Err(ApprovalRefusal::OtherPlan);
    }
    if request.expires_at.parse::<Timestamp>().is_ok_and(|expires_at| now < expires_at) {
        return Ok(());
    }
    Err(ApprovalRefusal::Expired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> ApprovedRun {
        ApprovedRun {
            job: "purge".to_owned(),
            run: "0190".to_owned(),
            target: "1400000001".parse().unwrap(),
            operation: "account_delete".to_owned(),
            options: "{}".to_owned(),
            rows: 8,
            items: 7,
        }
    }

    fn person(name: &str) -> SignedBy {
        SignedBy { principal: name.to_owned(), key: format!("SHA256:{name}") }
    }

    fn signed() -> SignedApproval {
        let request = ApprovalRequest {
            schema: 1,
            meaning: String::new(),
            plan: "abc".to_owned(),
            runs: vec![run()],
            requested_by: "SHA256:ann".to_owned(),
            expires_at: "1970-01-01T00:16:40Z".to_owned(),
        };
        SignedApproval { request, requester: person("ann"), approver: person("bob"), is_used: false }
    }

    fn at(second: i64, given: Option<&SignedApproval>, was_approved: bool) -> Result<(), ApprovalRefusal> {
        decide(given, (Some("abc"), &run()), was_approved, Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn each_reason_refuses_and_only_a_valid_approval_or_a_begun_run_is_allowed() {
        assert_eq!(at(999, Some(&signed()), false), Ok(()));
        assert_eq!(at(1000, Some(&signed()), false), Err(ApprovalRefusal::Expired));
        assert_eq!(at(0, None, false), Err(ApprovalRefusal::Missing));
        assert_eq!(at(2000, None, true), Ok(()), "the rest of an approved run");
        let used = SignedApproval { is_used: true, ..signed() };
        assert_eq!(at(0, Some(&used), true), Err(ApprovalRefusal::Used));
        assert_eq!(at(0, Some(&used), false), Err(ApprovalRefusal::Used));
        for (principal, key) in [("ann", "SHA256:other"), ("bob", "SHA256:ann")] {
            let approver = SignedBy { principal: principal.to_owned(), key: key.to_owned() };
            let own = SignedApproval { approver, ..signed() };
            assert_eq!(at(0, Some(&own), false), Err(ApprovalRefusal::OwnKey));
        }
        let other = || "other".to_owned();
        let runs = [
            ApprovedRun { job: other(), ..run() },
            ApprovedRun { run: other(), ..run() },
            ApprovedRun { target: RunTarget::Sandbox, ..run() },
            ApprovedRun { operation: other(), ..run() },
            ApprovedRun { options: other(), ..run() },
            ApprovedRun { rows: 9, ..run() },
            ApprovedRun { items: 8, ..run() },
        ];
        let mut requests: Vec<ApprovalRequest> =
            runs.into_iter().map(|run| ApprovalRequest { runs: vec![run], ..signed().request }).collect();
        requests.push(ApprovalRequest { plan: other(), ..signed().request });
        requests.push(ApprovalRequest { requested_by: other(), ..signed().request });
        for request in requests {
            let given = SignedApproval { request, ..signed() };
            assert_eq!(at(0, Some(&given), false), Err(ApprovalRefusal::OtherPlan), "{given:?}");
        }
    }
}
