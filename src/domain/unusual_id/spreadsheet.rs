//! Numbers and dates that a spreadsheet or a program wrote in place of an id.

use super::is_digits;

/// Numbers as spreadsheets and programs show them: with an exponent, zeros behind the point, or separators.
pub(super) fn is_rewritten_number(id: &str) -> bool {
    let number = id.strip_prefix(['-', '+']).unwrap_or(id);
    let number = number.strip_prefix(['$', '€', '£', '¥']).unwrap_or(number);
    let (whole, rest) = number.split_at(number.bytes().take_while(u8::is_ascii_digit).count());
    if whole.is_empty() {
        return false;
    }
    let separators = [',', ' ', '.', '\'', '’'].into_iter().filter(|separator| number.contains(*separator));
    if separators.into_iter().any(|separator| is_grouped(number, separator)) {
        return true;
    }
    let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let (digits, rest) = fraction.split_at(fraction.bytes().take_while(u8::is_ascii_digit).count());
            (Some(digits), rest)
        }
        None => (None, rest),
    };
    match (fraction, rest.strip_prefix(['e', 'E', 'd', 'D'])) {
        // `12E4` and `12e-4` may be ids; a decimal point or a plus is a number's.
        (fraction, Some(exponent)) => {
            let signed = exponent.starts_with('+');
            is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) && (signed || fraction.is_some())
        }
        (Some(fraction), None) if rest.is_empty() => fraction.bytes().all(|digit| digit == b'0'),
        (fraction, None) => {
            let percent = fraction.is_some() && rest == "%";
            percent || ["*10^", "x10^", "×10^"].iter().any(|power| rest.starts_with(power))
        }
    }
}

/// `1,234,567` or, as in India, `12,34,567`, with or without a fraction. `192.168.1.10` is an address.
fn is_grouped(number: &str, separator: char) -> bool {
    let whole = match separator {
        '.' => number.split_once(',').map_or(number, |(whole, _)| whole),
        _ => number.split_once('.').map_or(number, |(whole, _)| whole),
    };
    let groups: Vec<&str> = whole.split(separator).collect();
    let [first, middle @ .., last] = groups.as_slice() else { return false };
    let is_indian = separator == ',' && !middle.is_empty() && middle.iter().all(|group| group.len() == 2);
    let length = if is_indian { 2 } else { 3 };
    let digits = |group: &&str, length: usize| group.len() == length && is_digits(group);
    let is_number = is_digits(first)
        && first.len() <= length
        && middle.iter().all(|group| digits(group, length))
        && digits(last, 3);
    match separator {
        '.' => is_number && !middle.is_empty() && !is_ip_address(&groups),
        _ => is_number,
    }
}

/// Whether these are the parts of an IPv4 address.
fn is_ip_address(parts: &[&str]) -> bool {
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

/// Months as spreadsheets in English and German shorten them.
const MONTHS: [&str; 17] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec", "Mrz", "Mai", "Okt",
    "Dez",
];

/// The same in French, Spanish, Italian and Portuguese, as far as they are no words or names.
const LOWER_MONTHS: [&str; 14] =
    ["janv", "févr", "avr", "juil", "août", "déc", "ene", "abr", "ago", "dic", "gen", "giu", "lug", "ott"];

/// A date of this or the last century, with or without a time, or a time with seconds.
pub(super) fn is_date(id: &str) -> bool {
    if !id.contains(['-', '/', '.', ' ', ':', '日', '일']) {
        return false;
    }
    let date = before_time(id.strip_prefix('[').unwrap_or(id));
    is_numeric_date(date) || is_date_with_month(date) || is_time(id) || is_east_asian_date(date)
}

/// What is before a time, if there is one behind a blank or a `T`: `00:00`, `10:11:12.000`, `10:11:12+08:00`.
fn before_time(text: &str) -> &str {
    let Some((before, _)) = text.split_once(':') else { return text };
    let date = before.trim_end_matches(|c: char| c.is_ascii_digit());
    if date.len() < before.len() { date.strip_suffix([' ', 'T']).unwrap_or(text) } else { text }
}

fn is_number_to(text: &str, last: u8) -> bool {
    is_digits(text) && text.len() <= 2 && text.parse().is_ok_and(|number: u8| (1..=last).contains(&number))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && is_digits(text) && (text.starts_with("19") || text.starts_with("20"))
}

fn is_short_year(text: &str) -> bool {
    text.len() == 2 && is_digits(text)
}

/// `2024/3/4`, `2024-03-04`, `04.03.2024`, `3/4/24`. Numbers of one digit between dashes may be an id.
fn is_numeric_date(date: &str) -> bool {
    ['/', '-', '.'].into_iter().filter(|separator| date.contains(*separator)).any(|separator| {
        let parts: Vec<&str> = date.split(separator).collect();
        let [a, b, c] = parts.as_slice() else { return false };
        let is_wide = |parts: [&str; 2]| separator != '-' || parts.iter().all(|part| part.len() == 2);
        let is_day_and_month = |day: &str, month: &str| is_number_to(day, 31) && is_number_to(month, 12);
        if is_year(a) {
            return is_wide([b, c]) && is_day_and_month(c, b);
        }
        let has_year = is_year(c) || separator == '/' && is_short_year(c);
        has_year && is_wide([a, b]) && (is_day_and_month(a, b) || is_day_and_month(b, a))
    })
}

/// `3-Apr`, `Mar-24`, `03-APR-2024`, `4. Mrz`, `3-avr`, `Mar 4, 2024`. `may-1` and `May 1` may be ids.
fn is_date_with_month(date: &str) -> bool {
    if date.bytes().all(|byte| !byte.is_ascii_alphabetic()) {
        return false;
    }
    let parts: Vec<&str> = date.split(['/', '-', ' ', '.', ',']).filter(|part| !part.is_empty()).collect();
    let is_written = |text: &str| MONTHS.contains(&text) || LOWER_MONTHS.contains(&text);
    let is_month = |text: &str| is_written(text) || MONTHS.iter().any(|month| month.eq_ignore_ascii_case(text));
    let has = |separators: &[char]| date.contains(separators);
    match parts.as_slice() {
        [a, b, c] => {
            (is_year(c) || is_short_year(c) && has(&['-', '/']))
                && (is_number_to(a, 31) && is_month(b) || is_month(a) && is_number_to(b, 31))
        }
        [a, b] => {
            is_number_to(a, 31) && is_written(b) && has(&['-', '/', '.'])
                || is_written(a) && is_digits(b) && b.len() <= 2 && has(&['-', '/'])
        }
        _ => false,
    }
}

/// `10:11:12`, or `1:30 PM`.
fn is_time(text: &str) -> bool {
    let time = [" AM", " PM"].iter().find_map(|half| text.strip_suffix(half));
    let is_sixtieth = |part: &&str| part.len() == 2 && part.parse().is_ok_and(|part: u8| part < 60);
    let parts: Vec<&str> = time.unwrap_or(text).split(':').collect();
    let [hour, others @ ..] = parts.as_slice() else { return false };
    let is_complete = others.len() == 2 || others.len() == 1 && time.is_some();
    is_complete && is_digits(hour) && hour.len() <= 2 && others.iter().all(is_sixtieth)
}

/// `3月4日`, `2024年3月4日`, `3월 4일`
fn is_east_asian_date(date: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || "年月日년월일 ".contains(c);
    date.ends_with(['日', '일']) && date.contains(['月', '월']) && date.chars().all(is_part)
}
