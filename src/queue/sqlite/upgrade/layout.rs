//! The layouts of earlier versions. Each is known by the checksum of its only migration.

/// The tables of an earlier version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EarlierLayout {
    /// The first bytes of the migration's SHA-384 checksum.
    migration: [u8; 8],
    /// The day on which it was last used.
    pub(super) name: &'static str,
    /// Whether it stores everything that [`ADD_COLUMNS`](super::ADD_COLUMNS) would add.
    pub(super) is_complete: bool,
    /// Whether its rows have checksums.
    pub(super) has_checksums: bool,
    /// The encoding of accounts and rows.
    pub(super) lists: Lists,
}

/// The encoding of the accounts and rows of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// Two JSON lists; rows by their numbers.
    Json,
    /// As in [`StoredRequest`](crate::stored_request::StoredRequest).
    Distances,
}

const LAYOUTS: [EarlierLayout; 5] = [
    EarlierLayout {
        migration: [0xb8, 0x99, 0xb8, 0x24, 0x5c, 0xe9, 0x5e, 0x15],
        name: "2026-11-22",
        is_complete: false,
        has_checksums: false,
        lists: Lists::Json,
    },
    EarlierLayout {
        migration: [0x4b, 0x69, 0x73, 0x4f, 0x34, 0xdb, 0xa8, 0x60],
        name: "2026-11-24",
        is_complete: false,
        has_checksums: true,
        lists: Lists::Json,
    },
    EarlierLayout {
        migration: [0x79, 0xc0, 0xe4, 0xbd, 0x17, 0x3a, 0x93, 0xf8],
        name: "2026-11-26",
        is_complete: false,
        has_checksums: true,
        lists: Lists::Distances,
    },
    EarlierLayout {
        migration: [0x8d, 0xd4, 0xdd, 0x53, 0x60, 0x82, 0x2c, 0x35],
        name: "2026-11-27",
        is_complete: false,
        has_checksums: true,
        lists: Lists::Distances,
    },
    EarlierLayout {
        migration: [0xd7, 0x9d, 0x22, 0x58, 0x59, 0x8b, 0xac, 0x42],
        name: "2026-11-29",
        is_complete: true,
        has_checksums: true,
        lists: Lists::Distances,
    },
];

impl EarlierLayout {
    /// The layout whose migration has this checksum.
    pub(super) fn of(checksum: &[u8]) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| checksum.starts_with(&layout.migration))
    }
}
