//! Decides what follows from reading a part of a backup: the next page, the next list, or the change. What cannot be
//! read is not changed.
//!
//! ```text
//! profiles ──────────────────────────────────────────────────────────────┐
//! list of From_Account, page by page ──► with `both`: list of each friend ┴─► the online check, or the change
//! ```
//!
//! Every call keeps the lease of the change, so that no other request of imbulk changes what is read.

use std::collections::{BTreeSet, VecDeque};

use super::answer::Answer;
use super::call_result::CallResult;
use super::code_history::CodeHistory;
use super::earlier_effect::may_have_had_effect;
use super::outcome::Outcome;
use super::preparation::{names, not_changed};
use super::verdict::{Assessment, CallContext, ItemResult, Resend, ServerActivity, Verdict, Verdicts, Wait, assess};
use crate::domain::backup::BackupLine;
use crate::domain::operation::{
    BoundOperation, FriendPage, ListedFriend, PROFILE_TAGS, Preparation, ShownItem, read_command, shown_items,
};
use crate::domain::request::account::UserId;
use crate::domain::request::{
    BackupProgress, Doubt, Item, ListOwner, ListPage, ListTurn, Purpose, Request, UnreadList, UnreadPart,
};

/// How often a list is read again from its start, because it changed while it was read.
const MAX_RESTARTS: u32 = 3;

/// What the result of a call means that read a part of a backup.
pub(super) fn assess_backup(
    context: &CallContext,
    request: &Request,
    progress: &BackupProgress,
    result: &CallResult,
) -> Assessment {
    let call = BackupCall { context, request, charged: progress.charged };
    match &progress.part {
        UnreadPart::Profiles => call.profiles(result),
        UnreadPart::List(list) => ListCall { call, list }.assess(result),
    }
}

/// The body of the call that reads the next part.
pub(super) fn body(request: &Request, progress: &BackupProgress) -> Vec<u8> {
    match &progress.part {
        UnreadPart::Profiles => read_command::portrait_get(&request.ids(), &PROFILE_TAGS),
        UnreadPart::List(list) => {
            let owner = list_owner(request, list).map_or("", UserId::as_str);
            read_command::friend_get(owner, list.page.start)
        }
    }
}

/// The account whose list a request changes.
fn own_account(request: &Request) -> Option<&UserId> {
    request.from.as_ref().or_else(|| request.items.first().map(|item| &item.account))
}

/// The account whose list is read.
fn list_owner<'a>(request: &'a Request, list: &'a UnreadList) -> Option<&'a UserId> {
    match &list.of {
        ListOwner::Own { .. } => own_account(request),
        ListOwner::Friend(turn) | ListOwner::Account(turn) => Some(&turn.owner),
    }
}

struct BackupCall<'a> {
    context: &'a CallContext,
    request: &'a Request,
    /// The attempts before the backup was begun.
    charged: u32,
}

impl BackupCall<'_> {
    /// What the answer means by its codes. The codes and doubts of changes say nothing about it.
    fn assess(&self, preparation: Preparation, items: Vec<Item>, result: &CallResult) -> Assessment {
        let (doubt, history) = (Doubt::None, CodeHistory::default());
        let request = Request { items, doubt, history, ..self.request.clone() };
        let context = CallContext { operation: BoundOperation::reading(preparation), ..*self.context };
        let plain = assess(&context, &request, result);
        Assessment { activity: ServerActivity::Done, ..plain }
    }

    /// Everything is read.
    fn done(&self) -> Verdict {
        let purpose = self.context.preparations.after_backup().map_or(Purpose::Change, Purpose::Prepare);
        Verdict::Next(purpose, Wait::Leased)
    }

    /// A page of a list is read.
    fn read(&self, list: UnreadList) -> Verdict {
        let progress = BackupProgress { charged: self.charged, part: UnreadPart::List(list) };
        Verdict::Next(Purpose::Backup(Box::new(progress)), Wait::Leased)
    }

    /// The lists of these accounts are read, and then nothing more.
    fn read_lists(&self, owners: VecDeque<UserId>, of: fn(ListTurn) -> ListOwner) -> Verdict {
        ListTurn::first_of(owners).map_or_else(|| self.done(), |turn| self.read(UnreadList::from_start(of(turn))))
    }

    /// The profiles of these accounts are read; their friend lists follow if the job asks for them.
    fn after_profiles(&self, accounts: VecDeque<UserId>) -> Verdict {
        if !self.context.preparations.reads_friends_of_accounts() {
            return self.done();
        }
        self.read_lists(accounts, ListOwner::Account)
    }

    /// Whether an earlier change of the items may have had an effect.
    fn may_be_done(&self) -> bool {
        may_have_had_effect(&self.context.operation, self.request.doubt, &self.request.history)
    }

    fn not_read(&self, code: Option<i64>, why: &str) -> Verdict {
        let may_be_done = self.may_be_done();
        let reason = format!("backup.path: the backup could not be read, so the change was not sent: {why}");
        not_changed(may_be_done, Outcome::Failed, code, reason)
    }

    fn again(&self, how: Resend) -> Verdict {
        Verdict::Resend(Resend { doubt: self.request.doubt, met: None, ..how })
    }

    fn profiles(&self, result: &CallResult) -> Assessment {
        let plain = self.assess(Preparation::ReadProfiles, self.request.items.clone(), result);
        let profiles = result.body().map(shown_items).unwrap_or_default();
        let answer = result.body().and_then(|body| Answer::parse_read(body).ok());
        let mut lines = Vec::new();
        // None: the profile is read.
        let mut unread = |item: &Item, verdict: &Verdict| match verdict {
            Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: None, .. }) => {
                let id = item.account.as_str();
                match profiles.get(id) {
                    Some(Some(ShownItem { code: 0, fields })) => {
                        let fields = fields.clone().unwrap_or_default();
                        let (account, unchanged) = (id.to_owned(), !self.may_be_done());
                        lines.push(BackupLine::Profile { account, fields, unchanged });
                        None
                    }
                    Some(Some(_) | None) | None => {
                        Some(self.not_read(None, "the answer has no profile for the account, or two"))
                    }
                }
            }
            // The account does not exist.
            Verdict::Final(ItemResult { outcome: Outcome::AlreadyDone, code, .. })
                if names(answer.as_ref(), item, *code) =>
            {
                None
            }
            Verdict::Final(ItemResult { code, reason, .. }) => Some(self.not_read(*code, reason)),
            Verdict::Resend(how) => Some(self.again(*how)),
            Verdict::Next(..) => Some(verdict.clone()),
        };
        let items = || self.request.items.iter();
        let unread: Vec<Option<Verdict>> = match &plain.verdicts {
            Verdicts::All(all) => items().map(|item| unread(item, all)).collect(),
            Verdicts::Each(each) => items().zip(each).map(|(item, own)| unread(item, own)).collect(),
        };
        // Only these accounts are changed after this, so only their friends are read.
        let read = items().zip(&unread).filter(|(_, unread)| unread.is_none()).map(|(item, _)| item.account.clone());
        let next = self.after_profiles(read.collect());
        let verdicts = unread.into_iter().map(|unread| unread.unwrap_or_else(|| next.clone())).collect();
        Assessment { verdicts: Verdicts::Each(verdicts), lines, ..plain }
    }
}

/// A call that read a page of a list.
struct ListCall<'a> {
    call: BackupCall<'a>,
    list: &'a UnreadList,
}

impl ListCall<'_> {
    fn assess(&self, result: &CallResult) -> Assessment {
        let one = self.call.request.items.first().cloned().into_iter().collect();
        let plain = self.call.assess(Preparation::ReadFriends, one, result);
        let verdict = match &plain.verdicts {
            Verdicts::All(verdict) => Some(verdict),
            Verdicts::Each(each) => each.first(),
        };
        let (verdicts, lines) = match (verdict, result) {
            (
                Some(Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: None, .. })),
                CallResult::Body(body),
            ) => self.page(body),
            // The owner does not exist, so there is no list.
            (Some(Verdict::Final(ItemResult { outcome: Outcome::AlreadyDone, .. })), _) => {
                (self.complete(Vec::new()), Vec::new())
            }
            (Some(Verdict::Final(ItemResult { code, reason, .. })), _) => (self.failed(*code, reason), Vec::new()),
            (Some(Verdict::Resend(how)), _) => (Verdicts::All(self.call.again(*how)), Vec::new()),
            (Some(Verdict::Next(..)) | None, _) => (self.failed(None, "the answer means nothing"), Vec::new()),
        };
        Assessment { verdicts, lines, ..plain }
    }

    /// A page was read. The lines are those of the friends that are kept.
    fn page(&self, body: &[u8]) -> (Verdicts, Vec<BackupLine>) {
        let Some(page) = FriendPage::parse(body) else {
            return (self.failed(None, "the page does not have the form that the API documents"), Vec::new());
        };
        let Some(from) = list_owner(self.call.request, self.list) else {
            return (self.failed(None, "the request names no account"), Vec::new());
        };
        let wanted = self.wanted();
        let is_wanted =
            |friend: &&ListedFriend| wanted.as_ref().is_none_or(|wanted| wanted.contains(friend.id.as_str()));
        let found: Vec<&ListedFriend> = page.friends.iter().filter(is_wanted).collect();
        let line = |friend: &&ListedFriend| BackupLine::Friend {
            from: from.as_str().to_owned(),
            to: friend.id.clone(),
            fields: friend.fields().clone(),
            unchanged: !self.call.may_be_done(),
        };
        let lines = found.iter().map(line).collect();
        let ids = ids_of(&found);
        if self.collects_friends() && ids.len() < found.len() {
            let why = "the list has a friend whose id imbulk cannot send, so the other side cannot be read";
            return (self.failed(None, why), Vec::new());
        }
        let verdicts = match (&self.list.of, next_page(&self.list.page, &page)) {
            // The friendship that is looked for is found.
            (ListOwner::Friend(_), _) if !found.is_empty() => self.complete(Vec::new()),
            (_, Ok(NextPage::None)) => self.complete(ids),
            (ListOwner::Own { .. }, Ok(NextPage::Of(page))) => {
                self.read_page(ListOwner::Own { friends: self.friends_with(ids) }, page)
            }
            (ListOwner::Own { .. }, Ok(NextPage::First(page))) => {
                self.read_page(ListOwner::Own { friends: Vec::new() }, page)
            }
            (of @ (ListOwner::Friend(_) | ListOwner::Account(_)), Ok(NextPage::Of(page) | NextPage::First(page))) => {
                self.read_page(of.clone(), page)
            }
            (_, Err(why)) => self.failed(None, &why),
        };
        (verdicts, lines)
    }

    fn read_page(&self, of: ListOwner, page: ListPage) -> Verdicts {
        Verdicts::All(self.call.read(UnreadList { of, page }))
    }

    /// The friends of the list that are kept: those that the request changes, and on the list of a friend the own
    /// account of the request. `None`: all.
    fn wanted(&self) -> Option<BTreeSet<&str>> {
        let request = self.call.request;
        match &self.list.of {
            ListOwner::Account(_) => None,
            ListOwner::Friend(_) => Some(own_account(request).into_iter().map(UserId::as_str).collect()),
            ListOwner::Own { .. } => request.from.is_some().then(|| request.ids().into_iter().collect()),
        }
    }

    /// Whether the friends are only known from the list, and their own lists are read afterwards.
    fn collects_friends(&self) -> bool {
        match &self.list.of {
            ListOwner::Own { .. } => {
                self.call.request.from.is_none() && self.call.context.operation.deletes_both_sides()
            }
            ListOwner::Friend(_) | ListOwner::Account(_) => false,
        }
    }

    /// The friends of the own list whose lists are read afterwards, with those of this page.
    fn friends_with(&self, found: Vec<UserId>) -> Vec<UserId> {
        match &self.list.of {
            ListOwner::Own { friends } if self.collects_friends() => friends.iter().cloned().chain(found).collect(),
            ListOwner::Own { .. } | ListOwner::Friend(_) | ListOwner::Account(_) => Vec::new(),
        }
    }

    /// The list is complete: the next one follows, or the change.
    fn complete(&self, found: Vec<UserId>) -> Verdicts {
        let request = self.call.request;
        Verdicts::All(match &self.list.of {
            ListOwner::Own { .. } if request.from.is_some() && self.call.context.operation.deletes_both_sides() => {
                let friends = request.items.iter().map(|item| item.account.clone()).collect();
                self.call.read_lists(friends, ListOwner::Friend)
            }
            ListOwner::Own { .. } => self.call.read_lists(self.friends_with(found).into(), ListOwner::Friend),
            ListOwner::Friend(turn) => self.call.read_lists(turn.later.clone(), ListOwner::Friend),
            ListOwner::Account(turn) => self.call.read_lists(turn.later.clone(), ListOwner::Account),
        })
    }

    /// If the list of a friend or account cannot be read, only this item is left alone. Emptying a whole list
    /// changes all friends at once.
    fn failed(&self, code: Option<i64>, why: &str) -> Verdicts {
        let failed = self.call.not_read(code, why);
        let (turn, of): (_, fn(ListTurn) -> ListOwner) = match &self.list.of {
            ListOwner::Friend(turn) if self.call.request.from.is_some() => (turn, ListOwner::Friend),
            ListOwner::Account(turn) => (turn, ListOwner::Account),
            ListOwner::Own { .. } | ListOwner::Friend(_) => return Verdicts::All(failed),
        };
        let others = self.call.read_lists(turn.later.clone(), of);
        let verdict = |item: &Item| if item.account == turn.owner { failed.clone() } else { others.clone() };
        Verdicts::Each(self.call.request.items.iter().map(verdict).collect())
    }
}

/// What follows a page of a list.
#[derive(Debug, PartialEq, Eq)]
enum NextPage {
    /// It was the last one.
    None,
    /// This one.
    Of(ListPage),
    /// The first one once more, since the list changed while it was read.
    First(ListPage),
}

/// The page after this one. All pages must show the same list, and as many friends as they say.
fn next_page(read: &ListPage, page: &FriendPage) -> Result<NextPage, String> {
    let sequences = (page.standard_sequence, page.custom_sequence);
    let friends = read.friends_before + page.friends.len() as u64;
    let is_last = page.complete_flag != 0;
    let is_same = read.sequences.is_none_or(|first| first == sequences);
    if is_same && is_last && friends == page.friend_num {
        return Ok(NextPage::None);
    }
    if is_same && !is_last {
        if page.next_start_index <= read.start {
            return Err("the pages of the friend list do not advance".to_owned());
        }
        let start = page.next_start_index;
        return Ok(NextPage::Of(ListPage { start, friends_before: friends, sequences: Some(sequences), ..*read }));
    }
    if read.restarts < MAX_RESTARTS {
        return Ok(NextPage::First(ListPage { restarts: read.restarts + 1, ..ListPage::default() }));
    }
    Err(format!("the pages of the friend list have {friends} friends, and FriendNum is {}", page.friend_num))
}

fn ids_of(friends: &[&ListedFriend]) -> Vec<UserId> {
    friends.iter().filter_map(|friend| UserId::new(&friend.id).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::lookup::{assess_call, body as body_of};
    use super::super::settlement::Settlement;
    use super::super::verdict::{Charging, NewUserSig};
    use super::*;
    use crate::domain::ids::RequestId;
    use crate::domain::operation::{Preparations, ShownFields, by_name};

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    /// A request whose backup is read, and what was read so far.
    struct Backup {
        context: CallContext,
        request: Request,
        lines: Vec<BackupLine>,
        /// The items that were given up, with their reasons.
        ended: Vec<(String, String)>,
    }

    impl Backup {
        fn new(operation: &str, both: bool, from: Option<&str>, items: &[&str]) -> Self {
            let options = BTreeMap::from([("delete_type".to_owned(), if both { "both" } else { "single" }.to_owned())]);
            let operation = by_name(operation).unwrap();
            let given = if operation.options.is_empty() { BTreeMap::new() } else { options };
            let operation = operation.bind(&given).unwrap();
            let preparations = Preparations { backup: operation.backup, ..Preparations::default() };
            let item = |(row, item): (u64, &&str)| Item { account: id(item), row, updates: None };
            let request = Request {
                id: RequestId::new(1),
                from: from.map(id),
                items: (0..).zip(items).map(item).collect(),
                calls: 1,
                charged: 2,
                doubt: Doubt::None,
                history: CodeHistory::default(),
                purpose: Purpose::before_change(preparations, 2).unwrap(),
            };
            let (charging, new_usersig) = (Charging::UpTo(4), NewUserSig::MayHelp);
            let context = CallContext { operation, preparations, charging, new_usersig };
            Self { context, request, lines: Vec::new(), ended: Vec::new() }
        }

        /// The owner of the list that the next call reads, and where it begins.
        fn asks(&self) -> (String, u64) {
            let body: Value = serde_json::from_slice(&body_of(self.context.operation, &self.request)).unwrap();
            assert_eq!((&body["StandardSequence"], &body["CustomSequence"]), (&json!(0), &json!(0)));
            (body["From_Account"].as_str().unwrap().to_owned(), body["StartIndex"].as_u64().unwrap())
        }

        /// Takes an answer. Returns false if the request goes on no more.
        fn answer(&mut self, answer: &Value) -> bool {
            let result = CallResult::Body(answer.to_string().into_bytes());
            let assessment = assess_call(&self.context, &self.request, &result);
            self.lines.extend(assessment.lines);
            let settlement = Settlement::new(&self.context.operation, self.request.clone(), assessment.verdicts);
            for ended in settlement.ended {
                let ids = ended.items.iter().map(|item| item.account.as_str().to_owned());
                self.ended.extend(ids.map(|id| (id, ended.result.reason.clone())));
            }
            let next = settlement.follow_ups.into_iter().next();
            let goes_on = next.is_some();
            self.request = next.map_or_else(|| self.request.clone(), |next| next.request);
            goes_on
        }

        fn is_read(&self) -> bool {
            self.request.purpose == Purpose::Change
        }

        fn pairs(&self) -> Vec<(&str, &str)> {
            self.lines.iter().map(pair_of).collect()
        }
    }

    fn pair_of(line: &BackupLine) -> (&str, &str) {
        match line {
            BackupLine::Friend { from, to, .. } => (from, to),
            BackupLine::Profile { .. } => panic!("a profile"),
        }
    }

    /// A page with these friends; `next`: where the next one begins.
    fn page(friends: &[&str], all: u64, next: Option<u64>) -> Value {
        let friend =
            |friend: &&str| json!({"To_Account": friend, "ValueItem": [{"Tag": "Tag_SNS_IM_Remark", "Value": "r"}]});
        json!({
            "ErrorCode": 0, "ActionStatus": "OK", "UserDataItem": friends.iter().map(friend).collect::<Vec<_>>(),
            "StandardSequence": 5, "CustomSequence": 6, "FriendNum": all, "CompleteFlag": u8::from(next.is_none()),
            "NextStartIndex": next.unwrap_or(0),
        })
    }

    #[test]
    fn a_list_is_read_page_by_page_and_only_the_pairs_of_the_request_are_kept() {
        let mut backup = Backup::new("friend_delete", false, Some("a"), &["x", "z"]);
        assert_eq!(backup.asks(), ("a".to_owned(), 0));
        assert!(backup.answer(&page(&["w", "x"], 3, Some(2))));
        assert_eq!(backup.asks(), ("a".to_owned(), 2));
        assert!(backup.answer(&page(&["y"], 3, None)) && backup.is_read());
        assert_eq!(backup.pairs(), [("a", "x")], "a does not have z");
        assert_eq!(backup.request.charged, 2, "attempts are those before the backup");
    }

    #[test]
    fn a_line_that_is_read_after_a_change_that_may_have_had_an_effect_is_marked() {
        let unchanged = |doubt: Doubt, codes: &[i64]| {
            let mut backup = Backup::new("friend_update", false, Some("a"), &["x"]);
            (backup.request.doubt, backup.request.history) = (doubt, codes.iter().copied().collect());
            assert!(backup.answer(&page(&["x"], 1, None)));
            matches!(backup.lines[0], BackupLine::Friend { unchanged, .. } if unchanged)
        };
        assert!(unchanged(Doubt::None, &[]) && unchanged(Doubt::None, &[60007]), "nothing was changed");
        assert!(!unchanged(Doubt::EffectUnknown, &[]) && !unchanged(Doubt::None, &[70500]));
    }

    #[test]
    fn with_both_the_list_of_each_friend_is_read_until_the_account_is_found() {
        let mut backup = Backup::new("friend_delete", true, Some("a"), &["x", "y"]);
        assert!(backup.answer(&page(&["x", "y"], 2, None)) && !backup.is_read());
        assert_eq!(backup.asks(), ("x".to_owned(), 0));
        assert!(backup.answer(&page(&["a", "b"], 900, Some(2))), "it is found on the first page");
        assert_eq!(backup.asks(), ("y".to_owned(), 0));
        assert!(backup.answer(&json!({"ErrorCode": 30003, "ErrorInfo": "no such account"})) && backup.is_read());
        assert_eq!(backup.pairs(), [("a", "x"), ("a", "y"), ("x", "a")]);
    }

    #[test]
    fn a_friend_whose_list_cannot_be_read_is_left_alone_and_the_others_go_on() {
        let mut backup = Backup::new("friend_delete", true, Some("a"), &["x", "y"]);
        assert!(backup.answer(&page(&["x", "y"], 2, None)));
        assert!(backup.answer(&json!({"ErrorCode": 40005, "ErrorInfo": "no"})));
        assert_eq!(backup.ended.len(), 1);
        assert!(backup.ended[0].0 == "x" && backup.ended[0].1.contains("the backup could not be read"));
        assert_eq!(backup.asks(), ("y".to_owned(), 0));
        assert!(backup.answer(&page(&["a"], 1, None)) && backup.is_read());
        assert_eq!(backup.request.items.len(), 1);
    }

    #[test]
    fn the_whole_list_and_the_other_sides_are_read_before_a_list_is_emptied() {
        let mut backup = Backup::new("friend_delete_all", true, None, &["a"]);
        assert!(backup.answer(&page(&["x"], 2, Some(1))) && backup.answer(&page(&["y"], 2, None)));
        assert_eq!(backup.asks(), ("x".to_owned(), 0));
        assert!(backup.answer(&page(&["a"], 1, None)));
        assert_eq!(backup.asks(), ("y".to_owned(), 0));
        assert!(!backup.answer(&json!({"ErrorCode": 40005, "ErrorInfo": "no"})), "all friends are deleted at once");
        assert_eq!(backup.ended[0].0, "a");
    }

    #[test]
    fn pages_that_do_not_add_up_are_read_again_and_then_nothing_is_changed() {
        for wrong in [page(&["x"], 2, None), json!({"ErrorCode": 0, "FriendNum": 2, "CompleteFlag": 1})] {
            let mut backup = Backup::new("friend_delete_all", false, None, &["a"]);
            for restart in 0..MAX_RESTARTS {
                assert!(backup.answer(&wrong), "restart {restart}");
                assert_eq!(backup.asks(), ("a".to_owned(), 0));
            }
            assert!(!backup.answer(&wrong));
            assert!(backup.ended[0].1.contains("FriendNum is 2"), "{:?}", backup.ended);
        }
    }

    #[test]
    fn a_list_that_changes_between_two_pages_is_read_from_its_start() {
        let mut backup = Backup::new("friend_delete_all", false, None, &["a"]);
        assert!(backup.answer(&page(&["x"], 2, Some(1))));
        let mut changed = page(&["y"], 2, None);
        changed["StandardSequence"] = json!(9);
        assert!(backup.answer(&changed));
        assert_eq!(backup.asks(), ("a".to_owned(), 0));
        assert!(backup.answer(&page(&["x", "y"], 2, None)) && backup.is_read());
    }

    #[test]
    fn pages_must_advance() {
        let mut backup = Backup::new("friend_delete_all", false, None, &["a"]);
        assert!(backup.answer(&page(&["x"], 5, Some(1))));
        assert!(!backup.answer(&page(&["y"], 5, Some(1))));
        assert!(backup.ended[0].1.contains("do not advance"), "{:?}", backup.ended);
    }

    #[test]
    fn an_empty_list_has_no_items_in_its_page() {
        let mut backup = Backup::new("friend_delete_all", true, None, &["a"]);
        assert!(backup.answer(&json!({"ErrorCode": 0, "FriendNum": 0, "CompleteFlag": 1})) && backup.is_read());
        assert!(backup.lines.is_empty());
    }

    #[test]
    fn of_accounts_the_profiles_are_read_and_one_without_an_answer_is_left_alone() {
        let mut backup = Backup::new("account_delete", false, None, &["a", "b", "c"]);
        let field = json!([{"Tag": "Tag_Profile_IM_Nick", "Value": "n"}]);
        let answer = json!({"ErrorCode": 0, "UserProfileItem": [
            {"To_Account": "a", "ResultCode": 0, "ProfileItem": field},
            {"To_Account": "b", "ResultCode": 40003, "ResultInfo": "no such account"},
            {"To_Account": "c", "ResultCode": 40005, "ResultInfo": "no"},
        ]});
        assert!(backup.answer(&answer) && backup.is_read());
        let fields = ShownFields::from([("Tag_Profile_IM_Nick".to_owned(), json!("n"))]);
        assert_eq!(backup.lines, [BackupLine::Profile { account: "a".to_owned(), fields, unchanged: true }]);
        assert_eq!(backup.ended.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["c"]);
        // Only the friends of accounts whose profile was read are read.
        let mut backup = Backup::new("account_delete", false, None, &["c", "a", "b"]);
        backup.context.preparations.with_friends = true;
        assert!(backup.answer(&answer));
        for owner in ["a", "b"] {
            assert_eq!(backup.asks(), (owner.to_owned(), 0));
            assert!(backup.answer(&page(&["x"], 1, None)));
        }
        assert!(backup.is_read());
        // The code of the whole request does not say that an account that the answer leaves out is missing.
        let mut backup = Backup::new("account_delete", false, None, &["a"]);
        assert!(!backup.answer(&json!({"ErrorCode": 40003, "ErrorInfo": "no such account"})));
    }
}
