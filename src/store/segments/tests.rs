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
    let found =
        Segments::new(folder, NAME).read(|name, item| all.push((name.to_owned(), item.to_owned())));
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
    let others = Segments::new(folder.path(), "history").read(|_, _| ());
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
    // More at once than may be is not written, and the next is.
    let large = vec![0; 10_000];
    let items: Vec<_> = (0..11).map(|_| ("a", &*large)).collect();
    let items = items.into_iter();
    assert!(segments.write(items, at(0), BOUNDS).is_err());
    write(&mut segments, &[("b", b"1")], 0);
    assert_eq!(all(folder.path()).0, owned(&[("b", b"1")]));
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
    fs::remove_file(path).expect("removed");
    fs::create_dir(path).expect("made");
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
