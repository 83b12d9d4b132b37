//! The read-only commands that are called before a change: what a job asks for, their bodies, and what their answers
//! say.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::LookupCommand;
use crate::domain::request::Request;

/// A call that only reads, before each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// Whether the accounts are online (page query_online_status).
    OnlineCheck,
}

/// What a job asks for before each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preparations {
    /// Only accounts that are not online are deleted.
    pub unless_online: bool,
}

impl Preparations {
    /// The first preparation of a change.
    pub fn first(self) -> Option<Preparation> {
        self.unless_online.then_some(Preparation::OnlineCheck)
    }

    /// The preparations of a change, in their sequence.
    pub fn all(self) -> impl Iterator<Item = Preparation> {
        self.first().into_iter()
    }
}

/// Whether an account is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnlineStatus {
    /// It is neither connected nor reachable by push.
    Offline,
    /// It is connected, or its app still receives pushes. With the word of the answer.
    Online(String),
    /// The answer has no status for it, one that no page has, or two different ones.
    Unknown,
}

impl OnlineStatus {
    fn of(status: &str) -> Self {
        match status {
            "Offline" => Self::Offline,
            "Online" | "PushOnline" => Self::Online(status.to_owned()),
            _ => Self::Unknown,
        }
    }
}

impl Preparation {
    /// The command.
    pub const fn command(self) -> LookupCommand {
        match self {
            Self::OnlineCheck => LookupCommand {
                name: "query_online_status",
                path: "v4/openim/query_online_status",
                items_per_request: 500,
                calls_per_second: 200,
            },
        }
    }

    /// The body of the call for the items of a request.
    pub fn body(self, request: &Request) -> Vec<u8> {
        let ids: Vec<&str> = request.items.iter().map(|item| item.account.as_str()).collect();
        match self {
            Self::OnlineCheck => json!({"To_Account": ids}).to_string().into_bytes(),
        }
    }

    /// The status of each account in an answer to [`Preparation::OnlineCheck`].
    pub fn online_statuses(body: &[u8]) -> HashMap<String, OnlineStatus> {
        let answer: WireStatuses = serde_json::from_slice(body).unwrap_or_default();
        let mut statuses: HashMap<String, OnlineStatus> = HashMap::new();
        for item in answer.items {
            let status = item.status.as_deref().map_or(OnlineStatus::Unknown, OnlineStatus::of);
            let known = statuses.entry(item.id).or_insert_with(|| status.clone());
            if *known != status {
                *known = OnlineStatus::Unknown;
            }
        }
        statuses
    }
}

#[derive(Default, Deserialize)]
struct WireStatuses {
    #[serde(rename = "QueryResult", default)]
    items: Vec<WireStatus>,
}

#[derive(Deserialize)]
struct WireStatus {
    #[serde(rename = "To_Account")]
    id: String,
    #[serde(rename = "Status")]
    status: Option<String>,
}
