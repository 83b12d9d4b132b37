//! "did you mean …?"

/// The word of `words` that `typed` most likely was meant to be: at most a third of its letters differ.
pub(super) fn nearest<'a>(typed: &str, words: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let near = words.iter().map(|word| (distance(&typed, &word.to_lowercase()), word));
    let (distance, word) = near.min_by_key(|(distance, _)| *distance)?;
    let letters = word.chars().count();
    (distance < letters && distance * 3 <= letters.max(3)).then_some(word)
}

/// How many letters must be changed, added or taken away to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood_and_other_words_are_not() {
        let words = &["max_attempts", "base_delay", "max_delay"];
        assert_eq!(nearest("max_atempts", words), Some("max_attempts"));
        assert_eq!(nearest("Base-Delay", words), Some("base_delay"));
        assert_eq!(nearest("timeout", words), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(nearest("|", &[",", ";"]), None);
    }

    #[test]
    fn the_distance_counts_letters() {
        for (a, b, letters) in [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("用户", "用", 1)] {
            assert_eq!(distance(a, b), letters, "{a} {b}");
            assert_eq!(distance(b, a), letters, "{b} {a}");
        }
    }
}
