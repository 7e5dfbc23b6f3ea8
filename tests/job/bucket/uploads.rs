//! Backups into a store that breaks: either a whole dump under a name that was free, or nothing at all.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rustix::process::Signal;

use super::{Cloud, NOTHING, comes_back};
use crate::support::gcs::{Fault, Op};
use crate::support::wait::until;

#[test]
fn a_dump_goes_up_in_pieces_and_comes_back() {
    let cloud = Cloud::open_with_much();
    comes_back(&cloud.shop, |arguments| cloud.bkp([]).args(arguments));
    assert!(cloud.count("Chunk") > 2 && cloud.count("Finish") == 1, "{:?}", cloud.gcs.log());
    assert!(cloud.gcs.last_start().contains("ifGenerationMatch=0"), "{}", cloud.gcs.last_start());
    let [name] = &cloud.gcs.objects()[..] else { panic!("{:?}", cloud.gcs.objects()) };
    assert!(name.starts_with("some/prefix/db/db_dump-"), "{name}");
    assert_eq!(cloud.gcs.content_type(name).as_deref(), Some("application/gzip"));
}

#[test]
fn interruptions_of_an_upload_are_survived() {
    let cloud = Cloud::open_with_much();
    cloud.gcs.fail_next(Op::List, Fault::Status(503));
    cloud.gcs.fail_next(Op::Start, Fault::Status(503));
    for fault in [Fault::ResetInBody(3_000_000), Fault::Status(503), NOTHING, Fault::Reset] {
        cloud.gcs.fail_next(Op::Chunk, fault);
    }
    for fault in [Fault::Status(429), Fault::LostReply] {
        cloud.gcs.fail_next(Op::Finish, fault);
    }
    cloud.bkp(["backup"]).run().ok();
    assert_eq!((cloud.gcs.faults_left(), cloud.gcs.objects().len(), cloud.gcs.open_uploads()), (0, 1, 0));
    cloud.bkp(["check", "--read-data"]).run().ok().says("1 dumps are as sealed");
}

#[test]
fn an_upload_that_the_store_gives_up_halfway_is_no_backup() {
    let cloud = Cloud::open_with_much();
    for (op, fault) in [
        (Op::Chunk, Fault::Status(410)),
        (Op::Chunk, Fault::Refuse(403, "The project's billing is off.")),
        (Op::Finish, Fault::Refuse(403, "The project's billing is off.")),
        (Op::Finish, Fault::FlipBit(1000)),
    ] {
        cloud.gcs.fail_next(op, fault.clone());
        let out = cloud.bkp(["backup"]).run();
        assert!([1, 5].contains(&out.code), "{op:?} {fault:?}: {out:?}");
        cloud.holds_nothing();
    }
}

#[test]
fn a_damage_that_the_store_did_not_see_is_found_and_taken_back() {
    let cloud = Cloud::open();
    cloud.gcs.fail_next(Op::Finish, Fault::FlipUnchecked(1000));
    cloud.bkp(["backup"]).run().fails_with(5).says("damaged");
    cloud.holds_nothing();
}

#[test]
fn a_pg_dump_that_fails_late_leaves_no_object_and_no_open_upload() {
    let cloud = Cloud::open_with_much();
    let script = "$REAL \"$@\"; echo 'pg_dump: error: lost' >&2; exit 1";
    cloud.bkp_with_pg_dump(script).run().fails_with(1).says("lost");
    assert!(cloud.count("Chunk") > 0, "it failed too early to tell: {:?}", cloud.gcs.log());
    assert_eq!((cloud.count("Finish"), cloud.count("Cancel")), (0, 1), "{:?}", cloud.gcs.log());
    cloud.holds_nothing();
}

#[test]
fn term_while_pg_dump_works_cancels_the_upload() {
    let cloud = Cloud::open();
    let running = cloud.bkp_with_pg_dump("$REAL \"$@\"; touch \"$(dirname \"$0\")/waits\"; sleep 60").spawn();
    until("pg_dump", || cloud.shop.work.join("clients/waits").exists());
    running.kill(Signal::TERM);
    running.wait().fails_with(143);
    cloud.holds_nothing();
}

#[test]
fn term_while_a_piece_is_on_its_way_cancels_the_upload() {
    let cloud = Cloud::open_with_much();
    cloud.gcs.fail_next(Op::Chunk, Fault::Stall(Duration::from_secs(3)));
    let running = cloud.bkp_with_pg_dump("$REAL \"$@\"; sleep 60").spawn();
    until("a piece", || cloud.count("Chunk") > 0);
    running.kill(Signal::TERM);
    let began = std::time::Instant::now();
    running.wait().fails_with(143);
    // A pod has 30 seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    cloud.holds_nothing();
}

/// The names of backups that begin within these seconds from now.
fn names_of(seconds: std::ops::Range<i64>) -> Vec<String> {
    let now = Timestamp::now();
    let name = |second| {
        let when = (now + SignedDuration::from_secs(second)).to_zoned(TimeZone::UTC);
        format!("some/prefix/db/db_dump-{}.bak.gz", when.strftime("%Y%m%d_%H%M%S"))
    };
    seconds.map(name).collect()
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_what_is_there_stays() {
    let cloud = Cloud::open();
    let names = names_of(0..120);
    for name in &names {
        cloud.gcs.put(name, name.as_bytes());
    }
    cloud.bkp(["backup"]).run().ok();
    for name in &names {
        assert_eq!(cloud.gcs.get(name).as_deref(), Some(name.as_bytes()));
    }
    let new: Vec<String> = cloud.gcs.objects().into_iter().filter(|name| !names.contains(name)).collect();
    assert!(matches!(&new[..], [name] if name.ends_with("-2.bak.gz")), "{new:?}");
}

#[test]
fn a_name_that_another_takes_during_the_upload_is_left_to_it() {
    let cloud = Cloud::open();
    let running = cloud.bkp_with_pg_dump("$REAL \"$@\"; touch \"$(dirname \"$0\")/waits\"; while [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.1; done").spawn();
    until("pg_dump", || cloud.shop.work.join("clients/waits").exists());
    // Its name is known to it alone: one of these.
    let names = names_of(-60..1);
    for name in &names {
        cloud.gcs.put(name, "another's");
    }
    cloud.shop.work.file("clients/go", "");
    running.wait().ok().says("doing it again under another name");
    assert!(names.iter().all(|name| cloud.gcs.get(name).as_deref() == Some(b"another's".as_slice())));
    let new: Vec<String> = cloud.gcs.objects().into_iter().filter(|name| !names.contains(name)).collect();
    assert!(matches!(&new[..], [name] if name.contains("/db_dump-")), "{new:?}");
    assert!(cloud.gcs.last_start().contains("ifGenerationMatch=0"), "{}", cloud.gcs.last_start());
    assert_eq!(cloud.gcs.open_uploads(), 0, "{:?}", cloud.gcs.log());
}
