//! The read-only commands of the API: their limits and their bodies. Lookups, preparations and the checks of
//! `imbulk doctor` send them.

use serde_json::{Value, json};

/// A read-only command of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadCommand {
    /// Its name: the last part of its path.
    pub name: &'static str,
    /// The path of the command below the endpoint, without a leading slash.
    pub path: &'static str,
    /// The maximum number of items in one call.
    pub items_per_request: usize,
    /// The maximum number of calls per second that the limits page allows one app.
    pub calls_per_second: u32,
}

/// The fields of a profile that page portrait_get lists.
pub const PROFILE_TAGS: [&str; 12] = [
    "Tag_Profile_IM_Nick",
    "Tag_Profile_IM_Gender",
    "Tag_Profile_IM_BirthDay",
    "Tag_Profile_IM_Location",
    "Tag_Profile_IM_SelfSignature",
    "Tag_Profile_IM_AllowType",
    "Tag_Profile_IM_Language",
    "Tag_Profile_IM_Image",
    "Tag_Profile_IM_MsgSettings",
    "Tag_Profile_IM_AdminForbidType",
    "Tag_Profile_IM_Level",
    "Tag_Profile_IM_Role",
];

impl ReadCommand {
    /// Whether accounts exist.
    pub const ACCOUNT_CHECK: Self = Self {
        name: "account_check",
        path: "v4/im_open_login_svc/account_check",
        items_per_request: 100,
        calls_per_second: 100,
    };
    /// Whether accounts are friends.
    pub const FRIEND_CHECK: Self =
        Self { name: "friend_check", path: "v4/sns/friend_check", items_per_request: 1000, calls_per_second: 200 };
    /// A page of the friend list of one account.
    pub const FRIEND_GET: Self =
        Self { name: "friend_get", path: "v4/sns/friend_get", items_per_request: 1, calls_per_second: 200 };
    /// Fields of friends. The page advises at most 100 friends, since large answers may fail.
    pub const FRIEND_GET_LIST: Self =
        Self { name: "friend_get_list", path: "v4/sns/friend_get_list", items_per_request: 100, calls_per_second: 200 };
    /// Fields of profiles.
    pub const PORTRAIT_GET: Self =
        Self { name: "portrait_get", path: "v4/profile/portrait_get", items_per_request: 100, calls_per_second: 200 };
    /// Whether accounts are online.
    pub const QUERY_ONLINE_STATUS: Self = Self {
        name: "query_online_status",
        path: "v4/openim/query_online_status",
        items_per_request: 500,
        calls_per_second: 200,
    };
}

/// The body of account_check.
pub fn account_check(ids: &[&str]) -> Vec<u8> {
    bytes(&json!({"CheckItem": ids.iter().map(|id| json!({"UserID": id})).collect::<Vec<_>>()}))
}

/// The body of friend_check. `check_type`: `CheckResult_Type_Both` or `CheckResult_Type_Single`.
pub fn friend_check(from: &str, ids: &[&str], check_type: &str) -> Vec<u8> {
    bytes(&json!({"From_Account": from, "To_Account": ids, "CheckType": check_type}))
}

/// The body of friend_get for the page that begins at a friend. The sequence numbers of 0 ask for all fields of all
/// friends.
pub fn friend_get(owner: &str, start: u64) -> Vec<u8> {
    bytes(&json!({"From_Account": owner, "StartIndex": start, "StandardSequence": 0, "CustomSequence": 0}))
}

/// The body of friend_get_list. The list of tags must not be empty.
pub fn friend_get_list(from: &str, ids: &[&str], tags: &[&str]) -> Vec<u8> {
    bytes(&json!({"From_Account": from, "To_Account": ids, "TagList": tags}))
}

/// The body of portrait_get. The list of tags must not be empty.
pub fn portrait_get(ids: &[&str], tags: &[&str]) -> Vec<u8> {
    bytes(&json!({"To_Account": ids, "TagList": tags}))
}

/// The body of query_online_status.
pub fn query_online_status(ids: &[&str]) -> Vec<u8> {
    bytes(&json!({"To_Account": ids}))
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
