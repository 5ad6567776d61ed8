use super::*;

const NAME: &str = "history-x";
const BOUNDS: Bounds = Bounds {
    bytes: 100_000,
    keep: Duration::from_hours(8),
};

fn at(hours: u64) -> SystemTime {
    static NOW: std::sync::LazyLock<SystemTime> = std::sync::LazyLock::new(SystemTime::now);
    *NOW + Duration::from_hours(hours)
}

fn all(folder: &Path) -> (Vec<(String, Vec<u8>)>, Found) {
    let mut all = Vec::new();
    let segments = Segments::new(folder, NAME);
    let found = segments.read(BOUNDS.bytes, |name, item| {
        all.push((name.to_owned(), item.to_owned()));
    });
    (all, found)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("readable");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn write(segments: &mut Segments, items: &[(&str, &[u8])], hours: u64) {
    let items = items.iter().copied();
    segments.write(items, at(hours), BOUNDS).expect("written");
}

fn owned(items: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let items = items.iter();
    items
        .map(|(name, item)| ((*name).to_owned(), item.to_vec()))
        .collect()
}

#[test]
fn what_was_written_is_read_in_its_order_over_several_lives() {
    let folder = tempfile::tempdir().expect("folder");
    let items: [(&str, &[u8]); 5] = [
        ("a", b"1"),
        ("b", b"2"),
        ("a", b""),
        ("c", b"4"),
        ("b", b"\0\xff"),
    ];
    let mut segments = Segments::new(folder.path(), NAME);
    write(&mut segments, &items[..2], 0);
    write(&mut segments, &items[2..3], 0);
    assert_eq!(files(folder.path()).len(), 1);
    let mut again = Segments::new(folder.path(), NAME);
    write(&mut again, &items[3..], 0);
    assert_eq!(files(folder.path()).len(), 2);
    let (read, found) = all(folder.path());
    assert_eq!(read, owned(&items));
    assert_eq!(
        found,
        Found {
            items: 5,
            damaged: 0
        }
    );
    let others = Segments::new(folder.path(), "history").read(BOUNDS.bytes, |_, _| ());
    assert_eq!(others, Found::default(), "files of another kind");
}

#[test]
fn files_are_forgotten_when_they_are_old() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    for hour in 0..24 {
        write(&mut segments, &[("a", &[hour])], hour.into());
    }
    let (read, _) = all(folder.path());
    let hours: Vec<_> = read.iter().map(|(_, item)| item[0]).collect();
    // Two hours share a file, which goes when the later one is old.
    assert_eq!(hours, (14..24).collect::<Vec<_>>());
    let nothing: [(&str, &[u8]); 0] = [];
    write(&mut segments, &nothing, 31);
    assert_eq!(all(folder.path()).0.len(), 2);
    write(&mut segments, &nothing, 32);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn there_never_are_more_bytes_than_may_be() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    for n in 0..300_u32 {
        let item = vec![u8::try_from(n % 256).expect("a byte"); 1_000];
        write(&mut segments, &[(&n.to_string(), &item)], 0);
        let on_disk: u64 = files(folder.path())
            .iter()
            .map(|path| path.metadata().expect("a file").len())
            .sum();
        assert_eq!(on_disk, segments.bytes());
        assert!(on_disk <= BOUNDS.bytes, "{on_disk}");
    }
    let (read, _) = all(folder.path());
    assert!(read.len() > 70, "{}", read.len());
    assert_eq!(read.last().expect("the last").0, "299");
}

#[test]
fn more_at_once_than_there_may_be_pushes_out_no_more_than_its_part() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    for n in 0..4 {
        write(&mut segments, &[("a", &[n; 10_000])], 0);
    }
    let large = vec![9; 10_000];
    let items: Vec<_> = (0..100).map(|_| ("large", &*large)).collect();
    let lost = segments.write(items, at(0), BOUNDS).expect_err("too much");
    assert!(lost.to_string().contains("room"), "{lost}");
    write(&mut segments, &[("b", b"1")], 0);
    let (read, _) = all(folder.path());
    let count = |of: &str| read.iter().filter(|(name, _)| name == of).count();
    assert_eq!((count("a"), count("large"), count("b")), (4, 4, 1));
}

#[test]
fn a_file_that_is_none_of_ours_is_not_touched_and_changes_no_number() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let foreign = [
        "history-x-18446744073709551615",
        "history-x-7",
        "history-x-+0000007",
        "history-x-00000007.bak",
    ];
    for name in foreign {
        fs::write(path(name), b"not ours").expect("written");
    }
    fs::create_dir(path("history-x-00000009")).expect("made");
    for n in 0..3 {
        let mut segments = Segments::new(folder.path(), NAME);
        write(&mut segments, &[("a", &[n])], 0);
    }
    assert_eq!(all(folder.path()).1.items, 3);
    assert_eq!(all(folder.path()).1.damaged, 0);
    for name in foreign {
        assert!(path(name).exists(), "{name}");
    }
}

#[test]
fn a_file_that_is_longer_than_all_may_be_is_not_read_and_goes_before_any_other() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    write(&mut segments, &[("a", b"1")], 0);
    // It was written while there was room for it, or by nobody of ours.
    let larger = Bounds {
        bytes: 1 << 20,
        ..BOUNDS
    };
    let items = (0..20).map(|_| ("large", &[0; 10_000][..]));
    let mut segments = Segments::new(folder.path(), NAME);
    segments.write(items, at(0), larger).expect("written");
    let long = folder.path().join("history-x-00000002");
    assert!(long.exists());
    let (read, found) = all(folder.path());
    assert_eq!((read, found.damaged), (owned(&[("a", b"1")]), 1));
    let mut segments = Segments::new(folder.path(), NAME);
    write(&mut segments, &[("b", b"2")], 0);
    assert!(!long.exists());
    assert_eq!(all(folder.path()).0, owned(&[("a", b"1"), ("b", b"2")]));
}

#[test]
fn an_error_says_which_file_it_is_about() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    fs::remove_dir(folder.path()).expect("empty");
    let items = [("a", &b"1"[..])];
    let error = segments.write(items, at(0), BOUNDS).expect_err("no folder");
    assert!(
        error.to_string().contains("history-x-00000001: "),
        "{error}"
    );
    fs::create_dir(folder.path()).expect("made");
    write(&mut segments, &[("a", b"2")], 0);
    assert_eq!(all(folder.path()).0, owned(&[("a", b"2")]));
}

#[test]
fn damage_costs_what_it_hit() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    for n in 0..10_u8 {
        write(&mut segments, &[("a", &[n; 100]), ("b", &[n; 100])], 0);
    }
    let path = &files(folder.path())[0];
    let good = fs::read(path).expect("read");
    // A torn end is no damage: the rest of a write that had not come to its end.
    fs::write(path, &good[..good.len() - 50]).expect("written");
    let (read, found) = all(folder.path());
    assert_eq!((read.len(), found.damaged), (18, 0));
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(path, &bad).expect("written");
    let (read, found) = all(folder.path());
    assert_eq!((read.len(), found.damaged), (18, 1));
    // Without the record that named them, they are nobody's.
    let mut bad = good;
    bad[100] ^= 1;
    fs::write(path, &bad).expect("written");
    assert_eq!(
        all(folder.path()).1,
        Found {
            items: 0,
            damaged: 1
        }
    );
    fs::write(path, b"nonsense").expect("written");
    assert_eq!(
        all(folder.path()).1,
        Found {
            items: 0,
            damaged: 1
        }
    );
}

#[test]
fn what_cannot_be_written_is_lost_and_the_next_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let mut segments = Segments::new(folder.path(), NAME);
    let obstacle = folder.path().join("history-x-00000001");
    fs::create_dir(&obstacle).expect("made");
    let lost = segments.write([("a", &b"1"[..])], at(0), BOUNDS);
    assert!(lost.is_err());
    fs::remove_dir(&obstacle).expect("removed");
    write(&mut segments, &[("a", b"2")], 0);
    assert_eq!(all(folder.path()).0, owned(&[("a", b"2")]));
}
