//! A seal comes back as it was written, is found from an object's end, and no longer proves a dump of which a byte was changed.

use bkp::repository::bucket::pack::{self, End, FOOTER_BYTES};
use bkp::sources::postgres::lexer::DumpError;
use bkp::sources::postgres::seal::{FORMAT, Seal, Summary, rows_of};
use bkp::sources::postgres::survey::{Survey, Surveyor};

const BEGIN: &str = "-- bkp seal ";

/// By the first byte the rest is the JSON of a seal, the end of an object, or a dump to be sealed.
pub fn holds(input: &[u8]) {
    let Some((&way, rest)) = input.split_first() else { return };
    match way % 3 {
        0 => json(rest),
        1 => end(rest),
        _ => dump(rest),
    }
}

fn json(json: &[u8]) {
    let summary = Summary::parse(json);
    let Ok(seal) = Seal::parse(json) else { return };
    assert_eq!(seal.format, FORMAT);
    let _ = (seal.rows(), Summary::from(&seal).rows());
    let line = seal.line().expect("what was read can be written");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "a seal is one line");
    let again = Seal::parse(&line.as_bytes()[BEGIN.len()..]).expect("what was written can be read");
    assert_eq!(again, seal);
    let summary = summary.expect("a seal has a summary");
    assert_eq!(summary, Summary::from(&seal));
    let _ = (summary.shrunk(50), summary.next_measure(50));
    found_from_the_end(&line);
}

fn end(tail: &[u8]) {
    match pack::read_end(tail) {
        Ok(End::Need(bytes)) => assert!(bytes > tail.len() as u64, "asks for what it has"),
        Ok(End::Line(_)) => assert!(tail.len() >= FOOTER_BYTES),
        Ok(End::Unsealed) | Err(_) => {}
    }
    found_from_the_end(&String::from_utf8_lossy(tail));
}

fn found_from_the_end(line: &str) {
    let object = [b"before".as_slice(), &pack::sealed_end(line).expect("packing")].concat();
    assert_eq!(pack::read_end(&object).ok(), Some(End::Line(line.as_bytes().to_vec())));
    let Ok(End::Need(bytes)) = pack::read_end(&object[object.len() - FOOTER_BYTES..]) else {
        panic!("found without its bytes")
    };
    let enough = object.len() - usize::try_from(bytes).expect("a length");
    assert_eq!(pack::read_end(&object[enough..]).ok(), Some(End::Line(line.as_bytes().to_vec())));
}

/// The first two bytes say which byte is changed, the third how.
fn dump(input: &[u8]) {
    let [high, low, by, sql @ ..] = input else { return };
    // A seal is the last line of a dump that is whole and has none.
    let Ok(survey) = survey(sql) else { return };
    if survey.seal.is_some() || !sql.ends_with(b"\n") {
        return;
    }
    let seal = Seal {
        format: FORMAT,
        run: "20261121T231004Z-7f3a9c".into(),
        app: "shop".into(),
        server: "17.6".into(),
        client: "17.6".into(),
        databases: rows_of(&survey),
        skipped: Vec::new(),
        files: Vec::new(),
        safety: false,
        database_bytes: [].into(),
        measure: None,
        bytes: survey.bytes,
        digest: format!("blake3:{}", survey.digest),
        stored: None,
    };
    let mut sealed = sql.to_vec();
    sealed.extend_from_slice(seal.line().expect("a seal").as_bytes());
    assert!(proven(&sealed), "a dump that was sealed is not proven");
    let at = usize::from(u16::from_be_bytes([*high, *low])) % sql.len();
    if *by != 0 {
        sealed[at] ^= by;
        assert!(!proven(&sealed), "byte {at} was changed, and the seal still proves it");
    }
}

fn survey(sql: &[u8]) -> Result<Survey, DumpError> {
    let mut surveyor = Surveyor::new();
    surveyor.push(sql)?;
    surveyor.finish()
}

fn proven(sealed: &[u8]) -> bool {
    let Ok(survey) = survey(sealed) else { return false };
    let seal = survey.seal.as_deref().and_then(|json| Seal::parse(json).ok());
    seal.is_some_and(|seal| seal.prove(&survey).is_ok())
}
