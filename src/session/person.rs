//! Who runs this process.

use std::fmt::{self, Display, Formatter};

/// The user of this process, and where it runs. Its text is `alice@batch-1 (pid 4711)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name of the user, or the number if there is no name.
    pub user: String,
    /// The name of the machine.
    pub host: String,
    /// The process.
    pub pid: u32,
}

impl Person {
    /// Who runs this process.
    pub fn here() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = name_of(uid, &users).map_or_else(|| format!("uid {uid}"), ToOwned::to_owned);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { user, host, pid: std::process::id() }
    }
}

impl Display for Person {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} (pid {})", self.user, self.host, self.pid)
    }
}

/// The name of a user in passwd(5).
fn name_of(uid: u32, users: &str) -> Option<&str> {
    let mut users = users.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_in_the_list_of_users() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!([0, 1000, 7].map(|uid| name_of(uid, users)), [Some("root"), Some("alice"), None]);
    }
}
