//! The store at its boundary: what is kept, named, taken away, and what a crash leaves.

use super::*;
use crate::modules::UPLOADS_MAX;

#[test]
fn built_in_modules_are_there_without_a_directory() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.resolve("coracle/hello").expect("built in");
    assert_eq!(modules.resolve("coracle/hello:latest"), Ok(digest));
    assert_eq!(modules.resolve(&format!("any/name@{digest}")), Ok(digest));
    let bytes = modules.bytes(&digest).expect("held");
    assert_eq!(Digest::of(&bytes), digest);
}

#[test]
fn a_name_moves_to_the_module_it_was_given_to_last() {
    let modules = Modules::open(None).expect("in memory");
    let (first, second) = (modules.add(b"one").expect("small"), modules.add(b"two").expect("small"));
    modules.tag("app", first).expect("a name");
    modules.tag("app:v2", second).expect("a name");
    assert_eq!((modules.resolve("app"), modules.resolve("app:v2")), (Ok(first), Ok(second)));
    modules.tag("app:latest", second).expect("a name");
    assert_eq!((modules.resolve("app"), modules.resolve("app:latest")), (Ok(second), Ok(second)));
    let given: Vec<String> = modules.names().into_iter().map(|(name, _)| name).take(3).collect();
    assert_eq!(given, ["app:latest", "app:v2", "coracle/crash:latest"]);
}

#[test]
fn an_unknown_image_lists_what_is_here() {
    let modules = Modules::open(None).expect("in memory");
    let error = modules.resolve("helo").expect_err("no such module");
    assert!(error.to_string().starts_with("no module `helo:latest` here\n  = have: coracle/crash:latest, "), "{error}");
    let missing = format!("hello@{}", Digest::of(b"?"));
    assert!(matches!(modules.resolve(&missing), Err(ImageError::Unknown { image, .. }) if image == missing));
}

#[test]
fn names_that_cannot_be_given_are_refused() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.add(b"one").expect("small");
    assert!(matches!(modules.tag("coracle/hello", digest), Err(ModulesError::Reserved { .. })));
    assert!(matches!(modules.tag("Hello", digest), Err(ModulesError::Name(_))));
    assert!(matches!(modules.tag(&format!("a@{digest}"), digest), Err(ModulesError::Name(_))));
    assert!(matches!(modules.tag("a", Digest::of(b"?")), Err(ModulesError::UnknownDigest { .. })));
}

#[test]
fn the_table_of_names_ends_at_its_limit() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.add(b"one").expect("small");
    *modules.names.lock().expect("unlocked") = (0..NAMES_MAX).map(|n| (format!("m{n}:latest"), digest)).collect();
    assert!(matches!(modules.tag("one-more", digest), Err(ModulesError::TooManyNames)));
    modules.tag("m0", digest).expect("a name that is there can move");
}

#[test]
fn a_module_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let modules = Modules::open(None).expect("in memory");
    let mut bytes = vec![0; MODULE_BYTES_MAX];
    assert!(modules.add(&bytes).is_ok());
    bytes.push(0);
    assert!(matches!(modules.add(&bytes), Err(ModulesError::TooLarge { .. })));
}

#[test]
fn modules_and_names_survive_in_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let digest = {
        let modules = Modules::open(Some(dir.path())).expect("empty");
        let digest = modules.add(b"one").expect("small");
        modules.tag("app", digest).expect("a name");
        digest
    };
    let modules = Modules::open(Some(dir.path())).expect("what was written");
    assert_eq!(modules.resolve("app"), Ok(digest));
    assert_eq!(modules.bytes(&digest).as_deref(), Some(&b"one"[..]));
    let files = fs::read_dir(dir.path()).expect("there").count();
    assert_eq!(files, 2, "no temporary file stays behind");
}

#[test]
fn a_file_that_does_not_match_its_name_is_not_served_until_it_is_added_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let modules = Modules::open(Some(dir.path())).expect("empty");
    let digest = modules.add(b"one").expect("small");
    fs::write(dir.path().join(file_name(&digest)), b"two").expect("ours");
    assert_eq!(modules.bytes(&digest), None);
    assert_eq!(modules.add(b"one").expect("small"), digest);
    assert_eq!(modules.bytes(&digest).as_deref(), Some(&b"one"[..]));
}

#[test]
fn the_names_file_is_the_golden_one_and_broken_ones_are_refused() {
    let names = BTreeMap::from([("app:latest".to_owned(), Digest::of(b""))]);
    let golden = "{\n  \"version\": 1,\n  \"names\": {\n    \"app:latest\": \
        \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n  }\n}";
    assert_eq!(render_names(&names), golden);
    assert_eq!(parse_names(golden), Ok(names));
    for text in ["", "[]", r#"{"version":2,"names":{}}"#, r#"{"version":1,"names":{"a":"b"}}"#] {
        assert!(parse_names(text).is_err(), "{text}");
    }
}

fn image(text: &str) -> ImageRef {
    ImageRef::parse(text).expect("a name")
}

fn staged(modules: &Modules, name: &str, bytes: &[u8]) -> Staged {
    let mut upload = modules.begin(&image(name)).expect("a place");
    bytes.chunks(3).for_each(|piece| upload.write(piece).expect("small"));
    upload.finish()
}

/// A store in memory and one in a directory.
fn both() -> (tempfile::TempDir, [Modules; 2]) {
    let dir = tempfile::tempdir().expect("a directory");
    let stores = [None, Some(dir.path())].map(|dir| Modules::open(dir).expect("empty"));
    (dir, stores)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn remove(modules: &Modules, name: &str) -> Result<Removal, ModulesError> {
    modules.remove(&image(name), |_| Ok(()), |_| ())
}

#[test]
fn an_upload_is_seen_once_it_is_kept_and_not_before() {
    let (_dir, stores) = both();
    for modules in stores {
        let upload = staged(&modules, "app", b"some bytes");
        let digest = upload.digest();
        assert_eq!(digest, Digest::of(b"some bytes"));
        assert_eq!(&*upload.bytes().expect("there"), b"some bytes");
        assert!(modules.resolve("app").is_err());
        assert_eq!(modules.bytes(&digest), None);
        assert!(modules.keep(upload, &image("app")).expect("kept"));
        assert_eq!(modules.resolve("app:latest"), Ok(digest));
        assert_eq!(modules.bytes(&digest).as_deref(), Some(&b"some bytes"[..]));
        let again = staged(&modules, "app", b"some bytes");
        assert!(!modules.keep(again, &image("app")).expect("kept"), "the name is not new");
    }
}

#[test]
fn a_dropped_upload_leaves_no_file_and_a_killed_one_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let modules = Modules::open(Some(dir.path())).expect("empty");
    let mut upload = modules.begin(&image("app")).expect("a place");
    upload.write(b"half").expect("small");
    assert_eq!(files(dir.path()).len(), 1);
    drop(upload);
    assert_eq!(files(dir.path()), Vec::<String>::new());
    fs::write(dir.path().join(".new-killed"), "half").expect("ours");
    fs::write(dir.path().join("notes.txt"), "not ours").expect("ours");
    let second = Modules::open(Some(dir.path())).expect("there");
    assert_eq!(files(dir.path()).len(), 2, "another process may be writing it");
    drop((modules, second));
    Modules::open(Some(dir.path())).expect("there");
    assert_eq!(files(dir.path()), ["notes.txt"]);
}

#[test]
fn an_upload_ends_at_the_limit_of_its_size() {
    let (_dir, stores) = both();
    let piece = vec![7; 1 << 20];
    for modules in stores {
        let mut upload = modules.begin(&image("app")).expect("a place");
        for _ in 0..MODULE_BYTES_MAX >> 20 {
            upload.write(&piece).expect("within the limit");
        }
        assert!(matches!(upload.write(b"x"), Err(ModulesError::TooLarge { .. })));
        let mut upload = modules.begin(&image("app")).expect("a place");
        (0..MODULE_BYTES_MAX >> 20).for_each(|_| upload.write(&piece).expect("within the limit"));
        assert_eq!(upload.finish().size(), MODULE_BYTES_MAX as u64);
    }
}

#[test]
fn uploads_have_so_many_places_and_give_them_back() {
    let modules = Modules::open(None).expect("in memory");
    let mut uploads: Vec<_> = (0..UPLOADS_MAX).map(|_| modules.begin(&image("app")).expect("a place")).collect();
    assert!(matches!(modules.begin(&image("app")), Err(ModulesError::TooManyUploads)));
    let last = uploads.pop().expect("some").finish();
    assert!(modules.begin(&image("app")).is_err(), "not before it is kept or refused");
    drop(last);
    assert!(modules.begin(&image("app")).is_ok());
}

#[test]
fn an_upload_by_digest_gets_no_name_and_must_have_that_digest() {
    let (dir, stores) = both();
    for modules in stores {
        let digest = Digest::of(b"one");
        let by_digest = format!("app@{digest}");
        let other = staged(&modules, &by_digest, b"two");
        let wrong = modules.keep(other, &image(&by_digest));
        assert!(
            matches!(wrong, Err(ModulesError::WrongDigest { found, .. }) if found == Digest::of(b"two")),
            "{wrong:?}"
        );
        assert_eq!(files(dir.path()), Vec::<String>::new());
        assert!(modules.keep(staged(&modules, &by_digest, b"one"), &image(&by_digest)).expect("kept"));
        assert_eq!(modules.resolve(&by_digest), Ok(digest));
        assert!(modules.resolve("app").is_err());
        let listed = modules.list().pop().expect("the last has no name");
        assert_eq!(listed, Listed { name: None, digest, bytes: 3, is_builtin: false });
        assert!(remove(&modules, &by_digest).expect("there").takes_module);
        assert_eq!(modules.bytes(&digest), None);
    }
}

#[test]
fn a_module_goes_with_its_last_name() {
    let (dir, stores) = both();
    for modules in stores {
        let digest = modules.add(b"one").expect("small");
        ["app", "app:v2", "other"].iter().for_each(|name| modules.tag(name, digest).expect("a name"));
        let removal = remove(&modules, "app").expect("there");
        assert_eq!((removal.names, removal.takes_module), (vec!["app:latest".to_owned()], false));
        assert!(modules.resolve("app").is_err() && modules.resolve("app:latest").is_err());
        assert_eq!(modules.resolve("app:v2"), Ok(digest));
        assert!(!remove(&modules, "other").expect("there").takes_module);
        assert!(remove(&modules, "app:v2").expect("there").takes_module);
        assert_eq!(modules.bytes(&digest), None);
        assert!(matches!(remove(&modules, "app:v2"), Err(ModulesError::Name(ImageError::Unknown { .. }))));
    }
    assert_eq!(files(dir.path()), [NAMES_FILE]);
    assert_eq!(Modules::open(Some(dir.path())).expect("there").names().len(), builtin::BUILTIN.len());
}

#[test]
fn a_module_removed_by_digest_goes_with_every_name() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.add(b"one").expect("small");
    ["a", "b:v1"].iter().for_each(|name| modules.tag(name, digest).expect("a name"));
    let removal = remove(&modules, &format!("x@{digest}")).expect("there");
    assert_eq!(
        (removal.names.as_slice(), removal.takes_module),
        (&["a:latest".to_owned(), "b:v1".to_owned()][..], true)
    );
    assert!(modules.resolve("a").is_err() && modules.resolve("b:v1").is_err());
}

#[test]
fn what_is_forbidden_or_built_in_stays() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.add(b"one").expect("small");
    modules.tag("app", digest).expect("a name");
    let forbid = |removal: &Removal| {
        assert!(removal.hits("app") && removal.hits("app:latest") && removal.hits(&format!("y@{digest}")));
        assert!(!removal.hits("app:v2") && !removal.hits("no name"));
        Err(ModulesError::TooManyNames)
    };
    assert!(modules.remove(&image("app"), forbid, |_| panic!("it stays")).is_err());
    assert_eq!(modules.resolve("app"), Ok(digest));
    let hello = modules.resolve("coracle/hello").expect("built in");
    for name in ["coracle/hello".to_owned(), format!("x@{hello}")] {
        assert!(matches!(remove(&modules, &name), Err(ModulesError::Builtin { .. })), "{name}");
    }
    modules.tag("mine", hello).expect("a name");
    assert!(!remove(&modules, "mine").expect("there").takes_module, "a name for a built-in module");
    assert_eq!(modules.resolve("coracle/hello"), Ok(hello));
}

#[test]
fn a_module_whose_name_cannot_be_given_is_not_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let modules = Modules::open(Some(dir.path())).expect("empty");
    *modules.names.lock().expect("unlocked") =
        (0..NAMES_MAX).map(|n| (format!("m{n}:latest"), Digest::of(b"other"))).collect();
    let full = modules.keep(staged(&modules, "app", b"one"), &image("app"));
    assert!(matches!(full, Err(ModulesError::TooManyNames)), "{full:?}");
    assert_eq!((modules.bytes(&Digest::of(b"one")), files(dir.path())), (None, vec![]));
    assert!(matches!(modules.begin(&image("coracle/mine")), Err(ModulesError::Reserved { .. })));
}

#[test]
fn the_store_ends_at_its_limit() {
    let modules = Modules::open(None).expect("in memory");
    for n in modules.held.len()..MODULES_MAX {
        modules.held.insert(Digest::of(&n.to_le_bytes()), Held::File(1));
    }
    let full = modules.keep(staged(&modules, "app", b"one"), &image("app"));
    assert!(matches!(full, Err(ModulesError::TooManyModules)), "{full:?}");
}

#[test]
fn what_goes_is_told_before_it_can_be_kept_again() {
    let modules = Modules::open(None).expect("in memory");
    let upload = staged(&modules, "app", b"some bytes");
    let digest = upload.digest();
    modules.keep(upload, &image("app")).expect("kept");
    let mut told = None;
    let gone = |digest: &Digest| {
        assert!(modules.names.try_lock().is_err(), "nobody can give a name");
        told = Some(*digest);
    };
    modules.remove::<ModulesError>(&image("app"), |_| Ok(()), gone).expect("removed");
    assert_eq!((told, modules.holds(&digest)), (Some(digest), false));
}

#[test]
fn a_pods_image_is_found_without_waiting_for_who_writes_the_names() {
    let modules = Modules::open(None).expect("in memory");
    let digest = modules.add(b"one").expect("small");
    modules.tag("app", digest).expect("a name");
    let _writing = modules.lock_names();
    assert_eq!(modules.find("app:latest"), Some(digest));
    assert_eq!(modules.find(&format!("x@{digest}")), Some(digest));
    for unknown in ["helo", "Not an image", &format!("app@{}", Digest::of(b"?"))] {
        assert_eq!(modules.find(unknown), None, "{unknown}");
    }
}
