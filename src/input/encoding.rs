//! From the file's encoding to UTF-8.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Encoding as Charset, GBK};

use super::compression::peek;
use super::error::{Problem, ReadProblem};
use crate::domain::job::Encoding;

/// How many bytes of GBK are decoded at a time.
const BYTES_PER_DECODE: usize = 32 * 1024;

/// What encoding_rs writes in place of bytes that are no text.
pub(super) const REPLACEMENT: char = '\u{fffd}';

/// The text without its byte order mark, as UTF-8.
///
/// UTF-8 itself is passed through unchecked: whether a cell is text is found where the cell is used, so that
/// stray bytes elsewhere do no harm. In decoded GBK, bytes that are no text become [`REPLACEMENT`], which GBK
/// can't encode.
pub(super) fn to_utf8<'a>(plain: impl Read + 'a, encoding: Encoding) -> Result<Box<dyn Read + 'a>, Problem> {
    let (start, mut plain) = peek(plain, 3).map_err(ReadProblem::problem)?;
    let marked = start == b"\xef\xbb\xbf";
    if marked && encoding == Encoding::Gbk {
        return Err(Problem::Mark("UTF-8", name(encoding)));
    }
    if marked {
        io::copy(&mut plain.by_ref().take(3), &mut io::sink()).map_err(ReadProblem::problem)?;
    }
    Ok(match encoding {
        Encoding::Utf8 => Box::new(plain),
        Encoding::Gbk => Box::new(FromGbk::new(plain)),
    })
}

/// The encoding's name in job files and messages.
pub(super) const fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Gbk => "gbk",
    }
}

/// Whether what is said to be GBK is UTF-8.
///
/// Nearly every sequence of bytes of UTF-8 can be decoded as GBK, to other words; so the reverse is looked for. A run
/// is a stretch of bytes that are not ASCII. A run of real GBK is valid UTF-8 with a probability of some 0.14 per
/// Chinese character at most (lead bytes C2..DF, trail bytes A1..BF of the characters in use), and of some 0.0002 for
/// three characters that read as two characters of UTF-8. Each valid run adds the logarithm of that to a weight, and a
/// run that is not valid sets it back to zero. The file is refused where the weight reaches [`Self::PROOF`], or
/// [`Self::PROOF_BESIDE_GBK`] once something else in it was not UTF-8 (files joined in two encodings), and at its end
/// if nothing in it was GBK only.
#[derive(Debug, Default)]
struct Suspicion {
    /// A run that goes on in the next chunk.
    run: Vec<u8>,
    /// Line feeds before the next byte.
    line_feeds: u64,
    weight: u32,
    /// The line of the first run that the weight is of.
    first_line: u64,
    /// Whether some run was not UTF-8.
    has_gbk: bool,
}

impl Suspicion {
    /// Three characters of three bytes: once in a hundred thousand files of GBK.
    const PROOF: u32 = 12;
    /// Eight of them in a row, among millions of runs.
    const PROOF_BESIDE_GBK: u32 = 32;
    /// More bytes than this without ASCII are no text in cells; they are checked piece by piece.
    const LONGEST_RUN: usize = 4096;

    /// Looks at the next bytes of the file.
    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let run = bytes.iter().position(u8::is_ascii).unwrap_or(bytes.len());
            self.run.extend_from_slice(&bytes[..run]);
            bytes = &bytes[run..];
            if bytes.is_empty() && self.run.len() < Self::LONGEST_RUN {
                break;
            }
            self.check_run()?;
            let ascii = Charset::ascii_valid_up_to(bytes);
            self.line_feeds += memchr::memchr_iter(b'\n', &bytes[..ascii]).count() as u64;
            bytes = &bytes[ascii..];
        }
        Ok(())
    }

    /// Checks the run that ends here.
    fn check_run(&mut self) -> io::Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let weight = str::from_utf8(&self.run).map(|text| text.chars().map(weight).sum::<u32>());
        self.run.clear();
        let Ok(weight) = weight else {
            (self.weight, self.has_gbk) = (0, true);
            return Ok(());
        };
        if self.weight == 0 {
            self.first_line = self.line_feeds + 1;
        }
        self.weight = self.weight.saturating_add(weight);
        let proof = if self.has_gbk { Self::PROOF_BESIDE_GBK } else { Self::PROOF };
        if self.weight < proof { Ok(()) } else { Err(self.refusal()) }
    }

    /// Checks the file at its end.
    fn end(&mut self) -> io::Result<()> {
        self.check_run()?;
        if self.weight >= Self::PROOF || self.weight > 0 && !self.has_gbk {
            return Err(self.refusal());
        }
        Ok(())
    }

    fn refusal(&self) -> io::Error {
        ReadProblem::at(self.first_line, Problem::Utf8AsGbk)
    }
}

/// What the bytes of a text that was decoded as GBK say as UTF-8, where that is two Chinese characters or more and
/// nothing else. Of three characters in GBK, one in 36,000 reads so by chance.
pub(super) fn likely_utf8(decoded: &str) -> Option<String> {
    let (bytes, _, unencodable) = GBK.encode(decoded);
    let text = str::from_utf8(&bytes).ok().filter(|_| !unencodable)?;
    let foreign = || text.chars().filter(|character| !character.is_ascii());
    let chinese = foreign().all(|character| ('\u{4e00}'..='\u{9fff}').contains(&character));
    (chinese && foreign().count() > 1).then(|| text.to_owned())
}

/// How much a character speaks for UTF-8: the logarithm of how seldom its bytes are found in GBK.
const fn weight(character: char) -> u32 {
    match character.len_utf8() {
        1 => 0,
        2 => 2,
        _ => 4,
    }
}

struct FromGbk<R> {
    inner: R,
    decoder: encoding_rs::Decoder,
    /// Bytes of the file that are not decoded yet.
    raw: Vec<u8>,
    /// Text that is not handed out yet.
    text: Vec<u8>,
    /// How much of `text` is handed out.
    read: usize,
    /// Whether the decoder has received the end of the input.
    ended: bool,
    suspicion: Suspicion,
}

impl<R: Read> FromGbk<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            decoder: GBK.new_decoder_without_bom_handling(),
            raw: vec![0; BYTES_PER_DECODE],
            text: Vec::new(),
            read: 0,
            ended: false,
            suspicion: Suspicion::default(),
        }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let count = self.inner.read(&mut self.raw)?;
        self.ended = count == 0;
        self.suspicion.look(&self.raw[..count])?;
        if self.ended {
            self.suspicion.end()?;
        }
        // The decoder knows its worst case; only a length near usize::MAX has none.
        let longest = self.decoder.max_utf8_buffer_length(count);
        self.text.resize(longest.unwrap_or_default(), 0);
        let (result, _, written, _) = self.decoder.decode_to_utf8(&self.raw[..count], &mut self.text, self.ended);
        if matches!(result, CoderResult::OutputFull) {
            return Err(io::Error::other("the GBK decoder wrote more than it announced"));
        }
        self.text.truncate(written);
        self.read = 0;
        Ok(())
    }
}

impl<R: Read> Read for FromGbk<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.text.len() && !self.ended {
            self.decode_more()?;
        }
        let rest = &self.text[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte a call, so that every character is split.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = 1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn utf8(raw: &[u8], encoding: Encoding) -> Result<String, Problem> {
        let mut text = Vec::new();
        to_utf8(Drip(raw), encoding)?.read_to_end(&mut text).map_err(ReadProblem::problem)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn gbk_is_decoded_across_the_seams_of_reads() {
        let (raw, _, _) = GBK.encode("用户,备注\n张三,€\n");
        assert_eq!(utf8(&raw, Encoding::Gbk).unwrap(), "用户,备注\n张三,€\n");
    }

    #[test]
    fn bytes_that_are_no_gbk_leave_a_mark_and_keep_the_line_end() {
        assert_eq!(utf8(b"a\xff,b\x81\n\xc4", Encoding::Gbk).unwrap(), "a\u{fffd},b\u{fffd}\n\u{fffd}");
    }

    #[test]
    fn the_mark_of_utf8_is_dropped_and_refused_where_it_contradicts_the_job() {
        assert_eq!(utf8(b"\xef\xbb\xbfa", Encoding::Utf8).unwrap(), "a");
        assert!(matches!(utf8(b"\xef\xbb\xbfa", Encoding::Gbk), Err(Problem::Mark("UTF-8", "gbk"))));
    }

    fn gbk(text: &str) -> Vec<u8> {
        GBK.encode(text).0.into_owned()
    }

    #[test]
    fn single_texts_of_utf8_are_known_after_they_were_decoded() {
        let decoded = |utf8: &str| GBK.decode(utf8.as_bytes()).0.into_owned();
        assert_eq!(likely_utf8(&decoded("张三")).as_deref(), Some("张三"));
        assert_eq!(likely_utf8(&decoded("user_李四_1")).as_deref(), Some("user_李四_1"));
        for real in ["张三", "张三丰", "联通", "user_李四", "é", "东方不败", "José"] {
            assert_eq!(likely_utf8(real), None, "{real}");
        }
    }

    fn line_of(raw: &[u8]) -> Option<u64> {
        let read = to_utf8(Drip(raw), Encoding::Gbk).unwrap().read_to_end(&mut Vec::new());
        let error = super::super::error::InputError::of_read("a.csv", None, read.err()?);
        assert!(matches!(*error.problem, Problem::Utf8AsGbk));
        error.line
    }

    #[test]
    fn utf8_that_is_said_to_be_gbk_is_refused_at_its_first_line() {
        assert_eq!(line_of("UserID,note\na,x\nb,张三\nc,李四\n".as_bytes()), Some(3));
        assert_eq!(line_of("UserID\n用\n".as_bytes()), Some(2), "also a single character");
        assert_eq!(line_of("UserID\nJosé\n".as_bytes()), Some(2));
        let long = format!("UserID\n{}张三丰\n", "user\n".repeat(100_000));
        assert_eq!(line_of(long.as_bytes()), Some(100_002));
    }

    #[test]
    fn files_joined_in_two_encodings_are_refused() {
        let lines = "张三丰,一\n令狐冲,二\n黄药师,三\n";
        let joined = [gbk("用户,备注\n东方不败,零\n"), lines.as_bytes().to_vec()].concat();
        assert_eq!(line_of(&joined), Some(3));
        let joined = [gbk("用户,备注\n"), lines.as_bytes().to_vec(), gbk("东方不败,零\n")].concat();
        assert_eq!(line_of(&joined), Some(2));
    }

    #[test]
    fn gbk_is_not_refused_for_characters_that_could_be_utf8() {
        // Each of these pairs is valid UTF-8; 东 is not.
        let accidental = (0xc2..=0xdf_u8).flat_map(|lead| (0xa1..=0xbf).map(move |trail| [lead, trail]));
        let mut raw = gbk("用户\n");
        for pair in accidental {
            assert!(str::from_utf8(&pair).is_ok());
            raw.extend(pair);
            raw.extend(gbk("\n东\n"));
        }
        assert_eq!(line_of(&raw), None);
        assert_eq!(line_of(&gbk("用户\n联通\n张三\n")), None);
    }
}
