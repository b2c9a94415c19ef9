//! Shards as one scan: proof that nothing is missing, and the journal that one process would have written.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    Called, Journal, Manifest, Shard, Source, Whole,
    journal::Lines,
    manifest::{ShardImage, digest},
    tables::{Measured, TABLES, source_of, table_of},
};
use crate::{
    error::{Error, Result},
    export,
    measure::Table,
};

/// Images that a sentence names.
const NAMED: usize = 10;

/// Shards that are complete, or whose gaps are known.
#[derive(Debug)]
pub struct Joined {
    whole: Whole,
    folders: Vec<PathBuf>,
    /// In the order of the listing; those that are left out are not among them.
    images: Vec<Place>,
    gaps: Vec<String>,
}

/// Where the results of an image lie.
#[derive(Debug)]
struct Place {
    image: ShardImage,
    folder: usize,
    /// Where its line in the journal begins.
    line: u64,
    /// Where its line in the tables begins.
    table: Option<u64>,
}

impl Joined {
    /// Reads the shards in `folders`. With `skip_bad` an image that a shard could not finish is one of the [`Self::gaps`].
    ///
    /// # Errors
    /// [`Error::Usage`] with everything that is wrong, a line each: folders that hold no shard, shards that are missing, there
    /// twice, or of different detections, images that are not finished or in no shard. Those of the disk.
    pub fn open(folders: &[PathBuf], skip_bad: bool) -> Result<Self> {
        let mut shards = Vec::new();
        let mut problems = Vec::new();
        for folder in folders {
            match Manifest::read(folder)? {
                Some(manifest) => shards.push((folder.as_path(), manifest)),
                None => {
                    problems.push(format!("{}: this is not the output of `cytobox detect --shard`", folder.display()))
                }
            }
        }
        refuse(&problems)?;
        refuse(&of_one_detection(&shards))?;
        let whole = match shards.first() {
            Some((_, manifest)) => manifest.whole.clone(),
            None => return Err(Error::Usage("there are no shards to join".into())),
        };
        let mut gaps = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut listed: BTreeMap<usize, String> = BTreeMap::new();
        for (index, (folder, manifest)) in shards.into_iter().enumerate() {
            let name = format!("shard {} ({})", manifest.shard, folder.display());
            let strange = manifest.images.iter().filter(|image| !manifest.shard.holds(&image.key)).count();
            if strange > 0 {
                problems.push(format!("{name}: {strange} of its images belong to other shards"));
            }
            listed.extend(manifest.images.iter().map(|image| (image.at, image.key.clone())));
            let (found, open) = match finished(index, folder, manifest) {
                Ok(found) => found,
                Err(error) => {
                    problems.push(format!("{name}: {error}"));
                    continue;
                }
            };
            places.extend(found);
            gaps.extend(open.into_iter().map(|gap| format!("{name}: {gap}")));
        }
        if problems.is_empty() && listed.len() != whole.images {
            let missing = whole.images.abs_diff(listed.len());
            problems.push(format!("{missing} of {} images are in no shard", whole.images));
        } else if problems.is_empty() && digest(listed.values().map(String::as_str)) != whole.listing {
            problems.push("the images of the shards together are not those of the listing".into());
        }
        if !skip_bad {
            problems.append(&mut gaps);
        }
        refuse(&problems)?;
        places.sort_by_key(|place| place.image.at);
        Ok(Self { whole, folders: folders.to_vec(), images: places, gaps })
    }

    /// What all shards have in common.
    pub fn whole(&self) -> &Whole {
        &self.whole
    }

    /// What is left out, and why.
    pub fn gaps(&self) -> &[String] {
        &self.gaps
    }

    /// Writes the journal that one process would have written into the folder `out`.
    ///
    /// # Errors
    /// [`Error::Usage`] if a shard or the results of another detection lie there, which `force` replaces; those of the disk.
    pub fn write(&self, out: &Path, force: bool, say: &mut dyn FnMut(&str)) -> Result<Journal> {
        if Manifest::read(out)?.is_some() {
            return Err(Error::Usage(format!("{} holds a shard itself; use another --out", out.display())));
        }
        let settings = &self.whole.settings;
        if !force && Journal::begun_with(out).is_some() {
            let journal = Journal::open_telling(out, settings, false, say)?;
            let own: HashSet<&str> = self.images.iter().map(|place| place.image.source.as_str()).collect();
            let sources = journal.sources().collect::<Result<Vec<Source>>>()?;
            if sources.iter().any(|source| source.first().is_none_or(|first| !own.contains(first))) {
                let reason =
                    "has results of images that are not in these shards; use another --out, or --force to start over";
                return Err(Error::Usage(format!("{} {reason}", out.display())));
            }
        }
        let mut journal = Journal::open_telling(out, settings, true, say)?;
        journal.expect(self.images.len());
        let mut readers = self.folders.iter().map(|folder| Journal::lines(folder)).collect::<Result<Vec<_>>>()?;
        for place in &self.images {
            let Some((_, lines)) = readers.get_mut(place.folder) else { continue };
            let line = lines.at(place.line)?;
            let changed =
                || Error::Usage(format!("{}: its line changed while the shards were joined", place.image.key));
            let (source, _) = source_of(&line).ok_or_else(changed)?;
            let mut found = export::read_jsonl_line(&line).map_err(|_| changed())?;
            let wanted = Called::new(&place.image.image, &place.image.file, Path::new(&self.whole.root));
            let called = journal.name_for(&wanted, &source);
            (found.image, found.file) = (called.image, called.file);
            journal.push_unsynced(&found, source)?;
        }
        journal.sync()?;
        Ok(journal)
    }

    /// What was measured of each image of the journal that [`Self::write`] gives; `None` where nothing was.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn tables(&self) -> Result<impl Iterator<Item = Result<Option<Table>>> + '_> {
        let open = |folder: &PathBuf| {
            let path = folder.join(TABLES);
            path.exists().then(|| Lines::open(path)).transpose()
        };
        let mut readers = self.folders.iter().map(open).collect::<Result<Vec<_>>>()?;
        Ok(self.images.iter().map(move |place| {
            let Some((at, Some(lines))) = place.table.zip(readers.get_mut(place.folder)) else { return Ok(None) };
            let table = table_of(&lines.at(at)?);
            let reason =
                || Error::Usage(format!("{}: its table changed while the shards were joined", place.image.key));
            table.map(Some).ok_or_else(reason)
        }))
    }
}

fn refuse(problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!("the shards cannot be joined; nothing was written\n  {}", problems.join("\n  "))))
}

/// Why the shards are not all the shards of one detection.
fn of_one_detection(shards: &[(&Path, Manifest)]) -> Vec<String> {
    let mut problems = Vec::new();
    let Some((first, manifest)) = shards.first() else { return problems };
    let expected = fields(&manifest.whole);
    for (folder, other) in shards.iter().skip(1) {
        let found = fields(&other.whole);
        let keys: HashSet<&String> = expected.keys().chain(found.keys()).collect();
        let mut differing: Vec<&String> =
            keys.into_iter().filter(|key| expected.get(*key) != found.get(*key)).collect();
        differing.sort();
        let (first, folder) = (first.display(), folder.display());
        if differing.iter().any(|key| ["images", "listing"].contains(&key.as_str())) {
            let (here, there) = (manifest.whole.images, other.whole.images);
            problems.push(format!(
                "the images changed between the shards: {first} knows {here}, {folder} {there} of them or others; run the \
                 shards again, which does only what is new"
            ));
        }
        for key in differing.iter().filter(|key| !["images", "listing"].contains(&key.as_str())) {
            let shown = |of: &Map<String, Value>| of.get(*key).map_or_else(|| "none".to_owned(), Value::to_string);
            problems.push(format!("{}: {} in {first}, {} in {folder}", words(key), shown(&expected), shown(&found)));
        }
    }
    let of = manifest.shard.of();
    let mut folders: HashMap<Shard, &Path> = HashMap::new();
    for (folder, other) in shards {
        if other.shard.of() != of {
            problems.push(format!(
                "{} is shard {}, {} is shard {}",
                first.display(),
                manifest.shard,
                folder.display(),
                other.shard
            ));
        } else if let Some(earlier) = folders.insert(other.shard, folder) {
            problems.push(format!(
                "shard {} is there twice: {} and {}",
                other.shard,
                earlier.display(),
                folder.display()
            ));
        }
    }
    let missing: Vec<String> =
        Shard::all(of).filter(|shard| !folders.contains_key(shard)).map(|shard| shard.to_string()).collect();
    if !missing.is_empty() {
        problems.push(format!("missing: shard {}", some(missing.iter().map(String::as_str), missing.len())));
    }
    problems
}

fn fields(whole: &Whole) -> Map<String, Value> {
    match serde_json::to_value(whole) {
        Ok(Value::Object(fields)) => fields,
        // A structure of named fields is an object.
        _ => Map::new(),
    }
}

/// What a field is called on the command line.
fn words(key: &str) -> String {
    match key {
        "model" => "detector (SHA-256)".to_owned(),
        "by_class" => "score thresholds of the detector".to_owned(),
        "root" => "folder of the images".to_owned(),
        "version" => "version of cytobox".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The first of some names.
fn some<'a>(names: impl Iterator<Item = &'a str>, count: usize) -> String {
    let shown = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if count > NAMED { format!("{shown}, …") } else { shown }
}

/// The images of a shard that are finished, and what is missing of the others.
fn finished(index: usize, folder: &Path, manifest: Manifest) -> Result<(Vec<Place>, Vec<String>)> {
    let Manifest { whole, images, unreadable, .. } = manifest;
    let (settings, lines) = Journal::lines(folder)?;
    if settings != whole.settings {
        return Err(Error::Usage("its journal is of another detection; run it again".into()));
    }
    let mut known: HashMap<String, (u64, Source)> = HashMap::new();
    for line in lines {
        let (at, line) = line?;
        if let Some((source, first)) = source_of(&line)
            && export::read_jsonl_line(&line).is_ok()
        {
            known.insert(first, (at, source));
        }
    }
    let tables = if whole.results.needs_tables() { tables(folder, &whole)? } else { HashMap::new() };
    let count = images.len();
    let (mut places, mut undone, mut unmeasured) = (Vec::new(), Vec::new(), Vec::new());
    for image in images {
        let Some((line, source)) = known.get(&image.source) else {
            undone.push(image.key);
            continue;
        };
        let table = tables.get(&image.source).filter(|(_, measured)| measured == source).map(|(at, _)| *at);
        if table.is_none() && whole.results.needs_tables() {
            unmeasured.push(image.key.clone());
        }
        places.push(Place { image, folder: index, line: *line, table });
    }
    let again = "run it again, it resumes behind its last finished image";
    let gap = |of: &[String], what: &str| {
        let named = some(of.iter().map(String::as_str), of.len());
        (!of.is_empty()).then(|| format!("{} of {count} images are not {what}: {named}; {again}", of.len()))
    };
    let mut gaps: Vec<String> =
        [gap(&undone, "finished"), gap(&unmeasured, "measured")].into_iter().flatten().collect();
    gaps.extend(unreadable.iter().map(|file| format!("{file} could not be read, and its images are in no shard")));
    Ok((places, gaps))
}

/// Where the table of each image begins, by first file.
fn tables(folder: &Path, whole: &Whole) -> Result<HashMap<String, (u64, Source)>> {
    let path = folder.join(TABLES);
    let mut known = HashMap::new();
    if !path.exists() {
        return Ok(known);
    }
    let mut lines = Lines::open(path)?;
    let head = lines.next().transpose()?.and_then(|(_, line)| serde_json::from_slice::<Measured>(&line).ok());
    if head.is_none_or(|head| head != Measured::by(&whole.results)) {
        return Ok(known);
    }
    for line in lines {
        let (at, line) = line?;
        if let Some((source, first)) = source_of(&line)
            && table_of(&line).is_some()
        {
            known.insert(first, (at, source));
        }
    }
    Ok(known)
}
