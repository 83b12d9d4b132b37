//! Ids as 128-bit hashes, and chance from a seed.

/// What tells the key of a list from that of its owner.
const LIST: u64 = 0x6c69_7374;

/// An account as the first 128 bits of its BLAKE3 hash, or an ordered pair of accounts: so a set of
/// ten million deleted ids stays at a few hundred megabytes. Two of *n* ids collide with a
/// probability near n² / 2¹²⁹ (10⁻²⁴ for ten million): exact for all practical purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// The account `id`, case-sensitive.
    pub(crate) fn account(id: &str) -> Self {
        let hash = blake3::hash(id.as_bytes());
        let (mut low, mut high) = ([0; 8], [0; 8]);
        low.copy_from_slice(&hash.as_bytes()[..8]);
        high.copy_from_slice(&hash.as_bytes()[8..16]);
        Self([u64::from_le_bytes(low), u64::from_le_bytes(high)])
    }

    /// The friend list of an account.
    pub(crate) fn list(user: Self) -> Self {
        let [low, high] = user.0;
        Self([mix(low ^ LIST), mix(high ^ LIST)])
    }

    /// `to` on the list of `from`; the other direction is another key. Halves of good hashes need no
    /// second one: each half of a pair is a mix of one half of both, ordered by the inner `mix`.
    pub(crate) fn pair(from: Self, to: Self) -> Self {
        let ([from_low, from_high], [to_low, to_high]) = (from.0, to.0);
        Self([mix(from_low ^ mix(to_low)), mix(from_high.wrapping_add(mix(to_high)))])
    }

    /// A number in 0..1 that depends on nothing but this key and `seed`.
    pub(crate) fn fraction(self, seed: u64) -> f64 {
        unit(mix(self.0[0] ^ mix(seed)))
    }
}

/// Seeded chance: the same seed and the same order of calls play the same faults, on any machine and
/// with any version of any crate (which `rand`'s generators do not promise).
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number in 0..1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        unit(mix(self.0))
    }
}

/// The finaliser of `SplitMix64`.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[expect(clippy::cast_precision_loss, reason = "53 bits fit the mantissa exactly")]
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_ordered_and_ids_are_case_sensitive() {
        let (a, b) = (Key::account("a"), Key::account("b"));
        assert_ne!(Key::pair(a, b), Key::pair(b, a));
        assert_ne!(a, Key::account("A"));
        assert_eq!(Key::pair(a, b), Key::pair(a, b));
    }

    #[test]
    fn a_draw_repeats_with_its_seed_and_keeps_to_its_share() {
        let hits = |seed| {
            let mut draw = Draw::new(seed);
            (0..10_000).filter(|_| draw.fraction() < 0.1).count()
        };
        assert_eq!(hits(7), hits(7));
        assert!((900..1100).contains(&hits(7)), "{}", hits(7));
    }
}
