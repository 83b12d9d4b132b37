//! What the server answers to preparations: who is online, the profiles of accounts, and the pages of friend lists,
//! which change while they are read.

use imbulk::domain::operation::Preparation;
use serde_json::{Value, json};

use crate::server::{Call, CallEffect, CallHealth, Server};

/// The number of friends on a page, except the last one.
pub(crate) const PAGE_OF_FRIENDS: u64 = 2;

/// The pages of the list of an account: from one to three. Every account of a scenario always has the same number.
fn pages(owner: &str) -> u64 {
    owner.bytes().map(u64::from).sum::<u64>() % 3 + 1
}

impl Server {
    /// The answer to a preparation that the server executes.
    pub(crate) fn prepared(&mut self, call: &Call, preparation: Preparation) -> CallEffect {
        let mut effect = self.answered(call, &Value::Null, 0, false);
        let asked: Value = serde_json::from_slice(&call.body).expect("a body is JSON");
        let answer = match preparation {
            Preparation::OnlineCheck => self.statuses(call, &mut effect),
            Preparation::ReadProfiles => self.profiles(call, &mut effect),
            Preparation::ReadFriends => {
                let owner = asked["From_Account"].as_str().expect("a list has an owner");
                self.friends(call, owner, asked["StartIndex"].as_u64().expect("a page begins somewhere"))
            }
        };
        effect.result = imbulk::domain::response::call_result::CallResult::Body(answer.to_string().into());
        effect.health = CallHealth::Worked;
        effect
    }

    /// Most accounts are offline. The answer leaves out some accounts, and has an unknown word for others.
    fn statuses(&mut self, call: &Call, effect: &mut CallEffect) -> Value {
        let (mut statuses, mut errors) = (Vec::new(), Vec::new());
        for item in &call.request.items {
            let id = item.account.as_str();
            if self.is_done(call.job, &call.request, item.row) {
                errors.push(json!({"To_Account": id, "ErrorCode": 70_107}));
                continue;
            }
            let status = match self.draw(20) {
                0 => {
                    effect.charges.insert(item.row, 1);
                    continue;
                }
                1 => "Away",
                2 | 3 => "Online",
                4 => "PushOnline",
                _ => "Offline",
            };
            statuses.push(json!({"To_Account": id, "Status": status}));
        }
        json!({"ErrorCode": 0, "QueryResult": statuses, "ErrorList": errors})
    }

    /// Most profiles can be read. A few accounts have a code of their own.
    fn profiles(&mut self, call: &Call, effect: &mut CallEffect) -> Value {
        let mut profiles = Vec::new();
        for item in &call.request.items {
            let code = match self.draw(20) {
                0 => 40_005,
                1 => 40_003,
                2 => {
                    effect.charges.insert(item.row, 1);
                    70_500
                }
                _ => 0,
            };
            profiles.push(json!({"To_Account": item.account.as_str(), "ResultCode": code, "ProfileItem": []}));
        }
        json!({"ErrorCode": 0, "UserProfileItem": profiles})
    }

    /// A page of a list. With `both`, about half of the lists of friends have the account on their first page.
    fn friends(&mut self, call: &Call, owner: &str, start: u64) -> Value {
        match self.draw(30) {
            0 => return json!({"ErrorCode": 30_003, "ErrorInfo": "no such account"}),
            1 => return json!({"ErrorCode": 40_005, "ErrorInfo": "cannot be read"}),
            // The list changes from now on.
            2 => self.change_list(owner),
            _ => {}
        }
        let (pages, page) = (pages(owner), start / PAGE_OF_FRIENDS);
        let is_last = page + 1 >= pages;
        let other = call.request.from.as_ref().or(call.request.items.first().map(|item| &item.account));
        let mut friends = [format!("{owner}f{page}"), format!("{owner}g{page}")];
        if let Some(other) = other.filter(|other| other.as_str() != owner && self.draw(2) == 0) {
            other.as_str().clone_into(&mut friends[1]);
        }
        let friend = |id: &String| json!({"To_Account": id, "ValueItem": []});
        json!({
            "ErrorCode": 0,
            "UserDataItem": friends.iter().map(friend).collect::<Vec<_>>(),
            "StandardSequence": self.version_of_list(owner),
            "CustomSequence": 1,
            "FriendNum": pages * PAGE_OF_FRIENDS,
            "CompleteFlag": u8::from(is_last),
            "NextStartIndex": if is_last { 0 } else { start + PAGE_OF_FRIENDS },
        })
    }
}
