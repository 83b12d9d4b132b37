//! A profile: how another server behaves where the pages are silent and the sandbox had to choose.
//!
//! It is a JSON object whose `values` have one text per situation. `imbulk doctor JOB --conformance` measures it, and a
//! sandbox that starts from it behaves in the same way, as far as it can.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::answer::MockAnswer;
use crate::commands::Command;
use crate::rate::Counting;
use crate::refusal::Refusal;
use crate::world::Effects;

/// Situations that differ in a code alone: the command, and the refusal that the sandbox gives of its own.
const CODES: [(&str, Command, u32, &str); 30] = [
    ("account_delete.missing_account", Command::AccountDelete, 70107, ""),
    ("account_delete.too_many_items", Command::AccountDelete, 70206, ""),
    ("account_delete.no_items", Command::AccountDelete, 70402, "invalid parameter: DeleteItem"),
    ("account_delete.long_id", Command::AccountDelete, 70402, "invalid parameter: UserID"),
    ("account_check.too_many_items", Command::AccountCheck, 70206, ""),
    ("account_import.too_many_items", Command::AccountImport, 70206, ""),
    ("account_import.no_items", Command::AccountImport, 70402, "invalid parameter: AccountList"),
    ("friend_import.existing_friend", Command::FriendImport, 30001, "Err_SNS_FriendImport_Friend_Exist"),
    ("friend_import.missing_friend", Command::FriendImport, 30003, "Err_SNS_Comm_Account_Not_Exist"),
    ("friend_import.own_account", Command::FriendImport, 30001, "invalid parameter: To_Account"),
    ("friend_import.too_many_items", Command::FriendImport, 30001, "invalid parameter: AddFriendItem"),
    ("friend_import.no_source", Command::FriendImport, 30001, "invalid parameter: AddSource"),
    ("friend_import.long_remark", Command::FriendImport, 30001, "invalid parameter: Remark"),
    ("friend_update.no_friend", Command::FriendUpdate, 30001, "Err_SNS_FriendUpdate_Not_Friend"),
    ("friend_update.too_many_items", Command::FriendUpdate, 30001, "invalid parameter: UpdateItem"),
    ("friend_update.no_fields", Command::FriendUpdate, 30001, "invalid parameter: SnsItem"),
    ("friend_update.missing_from", Command::FriendUpdate, 30003, "Err_SNS_Comm_Account_Not_Exist"),
    ("friend_delete.no_friend", Command::FriendDelete, 31704, ""),
    ("friend_delete.too_many_items", Command::FriendDelete, 31701, ""),
    ("friend_delete.wrong_type", Command::FriendDelete, 31702, ""),
    ("friend_delete.missing_from", Command::FriendDelete, 30003, "Err_SNS_Comm_Account_Not_Exist"),
    ("friend_delete.long_id", Command::FriendDelete, 30003, "Err_SNS_Comm_Account_Illegal"),
    ("friend_delete_all.missing_from", Command::FriendDeleteAll, 30003, "Err_SNS_Comm_Account_Not_Exist"),
    ("friend_delete_all.wrong_type", Command::FriendDeleteAll, 30001, "invalid parameter: DeleteType"),
    ("friend_check.too_many_items", Command::FriendCheck, 30001, "invalid parameter: To_Account"),
    ("friend_check.wrong_type", Command::FriendCheck, 30001, "invalid parameter: CheckType"),
    ("friend_get.missing_from", Command::FriendGet, 30003, "Err_SNS_Comm_Account_Not_Exist"),
    ("friend_get_list.no_friend", Command::FriendGetList, 30001, "Err_SNS_FriendGetList_Friend_Not_Exist"),
    ("friend_get_list.no_tags", Command::FriendGetList, 30001, "invalid parameter: TagList"),
    ("portrait_get.no_items", Command::PortraitGet, 40001, ""),
];

/// A body that is larger is refused if the profile says so.
const LARGE_BODY: usize = 512 * 1024;

/// What a sandbox does in place of its own choices. The default is its own choices.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Other codes, by their place in [`CODES`].
    codes: Vec<(usize, u32)>,
    /// Items are answered in reverse order.
    reverses_items: bool,
    /// `ErrorCode` of an answer of `account_delete` in which every item failed.
    all_failed: Option<u32>,
    /// The code of a signature that is valid for less than an hour.
    pub(crate) short_signature: Option<u32>,
    /// The code of a body of more than half a mebibyte.
    large_body: Option<u32>,
    /// How calls are counted.
    pub(crate) counting: Counting,
    /// Choices about the effect of a call.
    pub(crate) effects: Effects,
    unknown: Vec<String>,
}

/// Why a profile cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not the JSON of a profile.
    #[error("this is not the JSON of a profile: {0}")]
    Json(#[from] serde_json::Error),
    /// A value that its situation cannot have.
    #[error("`{key}` cannot be {value:?}")]
    Value {
        /// The situation.
        key: String,
        /// The value.
        value: String,
    },
}

#[derive(Deserialize)]
struct ProfileFile {
    values: BTreeMap<String, Option<String>>,
}

impl std::str::FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let mut profile = Self::default();
        for (key, value) in serde_json::from_str::<ProfileFile>(text)?.values {
            // What was not measured is as the sandbox has it.
            let Some(value) = value else { continue };
            profile.set(&key, &value)?;
        }
        Ok(profile)
    }
}

impl Profile {
    /// The situations of the profile that the sandbox cannot imitate.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ProfileError> {
        let wrong = || ProfileError::Value { key: key.to_owned(), value: value.to_owned() };
        let code = || value.parse::<u32>().map_err(|_| wrong());
        let one_of = |other: &str, own: &str| match value {
            _ if value == other => Ok(true),
            _ if value == own => Ok(false),
            _ => Err(wrong()),
        };
        match key {
            "answer.item_order" => self.reverses_items = one_of("reversed", "as sent")?,
            "account_delete.all_failed" => self.all_failed = Some(code()?).filter(|code| *code != 0),
            "usersig.valid_for_a_minute" => self.short_signature = Some(code()?).filter(|code| *code != 0),
            "body.one_mebibyte" => self.large_body = Some(code()?).filter(|code| *code != 0),
            "rate.second" => self.counting = if one_of("clock", "any")? { Counting::Clock } else { Counting::Any },
            "friend_delete.other_side_only" => self.effects.clears_other_side = one_of("deleted", "kept")?,
            "friend_import.existing_fields" => self.effects.import_updates = one_of("replaced", "kept")?,
            "friend_get.page_size" => {
                self.effects.page = value.parse().ok().filter(|page| *page > 0).ok_or_else(wrong)?;
            }
            _ => match CODES.iter().position(|(name, ..)| *name == key) {
                // A code that is a success at another server: only the effect could show it.
                Some(_) if code()? == 0 => self.unknown.push(key.to_owned()),
                Some(place) => self.codes.push((place, code()?)),
                None => self.unknown.push(key.to_owned()),
            },
        }
        Ok(())
    }

    /// Refuses a large body.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), Refusal> {
        match self.large_body {
            Some(code) if bytes > LARGE_BODY => Err(Refusal::new(code)),
            Some(_) | None => Ok(()),
        }
    }

    /// A refusal with the code that the profile has for it.
    pub(crate) fn refusal(&self, command: Command, refusal: Refusal) -> Refusal {
        let is_it = |(place, _): &&(usize, u32)| {
            let (_, of, code, info) = CODES[*place];
            of == command && code == refusal.code && (info.is_empty() || info == refusal.info)
        };
        match self.codes.iter().find(is_it) {
            Some((_, code)) => Refusal { code: *code, ..refusal },
            None => refusal,
        }
    }

    /// An answer as the profile has it.
    pub(crate) fn answer(&self, command: Command, answer: MockAnswer) -> MockAnswer {
        match answer {
            MockAnswer::Refused(refusal) => MockAnswer::Refused(self.refusal(command, refusal)),
            MockAnswer::Items(mut items) => {
                for item in &mut items {
                    let refusal = Refusal { code: item.code, info: std::mem::take(&mut item.info) };
                    let Refusal { code, info } = self.refusal(command, refusal);
                    (item.code, item.info) = (code, info);
                }
                if self.reverses_items {
                    items.reverse();
                }
                match self.all_failed {
                    Some(code) if command == Command::AccountDelete && items.iter().all(|item| item.code != 0) => {
                        MockAnswer::Refused(Refusal::new(code))
                    }
                    Some(_) | None => MockAnswer::Items(items),
                }
            }
            MockAnswer::Done => MockAnswer::Done,
        }
    }
}
