use std::io::Write;

use proptest::prelude::*;

use super::hashing::{hash_node, sha256};
use super::*;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;

fn source(wanted: &str) -> LeafSource {
    let secret = RunSecret::new(&[7; SECRET_BYTES]);
    LeafSource { operation: "friend_delete".to_owned(), secret, wanted: Some(wanted.to_owned()) }
}

fn leaf_row(row: u64, account: &str) -> LeafRow<'_> {
    LeafRow {
        facts: CertifiedRow {
            row,
            input: 0,
            line: row + 2,
            outcome: Outcome::Succeeded,
            code: Some(70_107),
            finished_at: Some(1_793_000_000_120),
            verified: Some((Verified::Confirmed, 1_793_000_000_999)),
        },
        from: Some(Some("another account, whose id is as long as one can be")),
        account: Some(account),
    }
}

/// The leaves of a run in which every row names another account, and the tree over them.
fn grown(rows: u64, wanted: &str) -> (Vec<Digest>, Tree) {
    let (mut hashes, mut tree, source) = (Vec::new(), Tree::default(), source(wanted));
    for row in 0..rows {
        let mut leaf = Vec::new();
        source.append(leaf_row(row, &format!("user_{row}")), &mut leaf);
        hashes.push(*leaf.first_chunk().unwrap());
        tree.write_all(&leaf).unwrap();
    }
    (hashes, tree)
}

/// The Merkle tree hash as RFC 6962, 2.1 defines it.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            hash_node(&root(left), &root(right))
        }
    }
}

#[test]
fn the_tree_is_that_of_the_rfc_and_each_proof_leads_to_its_root_and_to_no_other() {
    for rows in 0..=40 {
        for wanted in 0..rows.max(1) {
            let (leaves, tree) = grown(rows, &format!("user_{wanted}"));
            let (counted, found, proofs) = tree.finish();
            assert_eq!((counted, found), (rows, root(&leaves)), "{rows} rows");
            assert_eq!(proofs.len() as u64, rows.min(1));
            for proof in proofs {
                let proof = RowProof::read(&proof).unwrap();
                assert_eq!(proof.row.ids().collect::<Vec<_>>(), [format!("user_{wanted}")]);
                assert_eq!(proof.root("friend_delete", rows), Some(found), "row {wanted} of {rows}");
                assert_ne!(proof.root("friend_import", rows), Some(found));
                assert_ne!(proof.root("friend_delete", 2 * rows + 1), Some(found));
            }
        }
    }
}

#[test]
fn the_proof_of_a_pair_among_ten_million_has_less_than_a_thousand_bytes() {
    let mut leaf = Vec::new();
    let account = "a".repeat(32);
    source(&account).append(leaf_row(9_999_999, &account), &mut leaf);
    let row = leaf::next_leaf(&mut leaf.as_slice()).and_then(|(_, row)| row).unwrap().to_vec();
    let proof = RowProof::bytes(&row, &[[0; 32]; 24]);
    assert!(proof.len() <= 1000, "{}", proof.len());
    assert!(!String::from_utf8_lossy(&proof).contains("another account"));
    assert!(RowProof::read(&proof).is_some());
}

#[test]
fn an_id_cannot_be_guessed_without_its_salt() {
    let hidden = |secret: u8, row| {
        let secret = RunSecret::new(&[secret; SECRET_BYTES]);
        let source = LeafSource { secret, ..source("nobody") };
        let mut leaf = Vec::new();
        source.append(leaf_row(row, "user_1"), &mut leaf);
        leaf
    };
    assert_eq!(hidden(1, 0), hidden(1, 0));
    assert_ne!(hidden(1, 0), hidden(2, 0));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_proofs_panic_and_a_proof_has_one_form(
        change in any::<(prop::sample::Index, u8)>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_, tree) = grown(13, "user_9");
        let (_, found, proofs) = tree.finish();
        let mut bytes = proofs[0].clone();
        prop_assert!(RowProof::read(&bytes[..cut.index(bytes.len())]).is_none());
        let at = change.0.index(bytes.len());
        prop_assume!(bytes[at] != change.1);
        bytes[at] = change.1;
        let root = RowProof::read(&bytes).and_then(|proof| proof.root("friend_delete", 13));
        prop_assert_ne!(root, Some(found));
    }
}
