/** Every cap of the page's own readers and of what it keeps, each with its reason; those that it shares with the engine come from there. */
export * from './engine-limits.js';

/** Share of the browser's quota that files of images without annotations may fill; the rest is for what people made. */
export const FILES_SHARE = 0.5;
/** Room that is left free at the quota's end for annotations, results and training checkpoints, in bytes. */
export const SPARE_BYTES = 64 << 20;
/** Files that go into the database together: enough to be quick, few enough to be through within a moment. */
export const BATCH_FILES = 16;
export const BATCH_BYTES = 4 << 20;

/** Characters of an image's name or of a file's path; file systems end at some hundreds to four thousand. */
export const NAME_CHARS = 1_024;
/** Run lengths of one mask; an outline crosses each of 8192 columns a few times. */
export const MASK_RUNS = 1 << 20;
/** Characters of a sentence that is kept with an image. */
export const SENTENCE_CHARS = 2_000;
/** Slices or time points of a stack: all pages of a TIFF file. */
export const PLANES = 16_384;
/** Diameters of cells that a user may give, in pixels of the images. */
export const DIAMETERS = [1, 10_000];
/** Images of one project; thousands are usual. */
export const IMAGES = 100_000;
/** The training settings as JSON; they are a few hundred bytes. */
export const SETTINGS_CHARS = 1 << 18;
/** Points of a curve that are kept with the project: more than its plot has columns. */
export const CURVE_POINTS = 1_000;
/** Points of one precision–recall curve; the engine makes 101. */
export const RECALL_POINTS = 1_001;
/** Images that an evaluation lists, the worst first. */
export const WORST_IMAGES = 1_000;

/** Files of an archive: what its directory can count without zip64. */
export const ARCHIVE_FILES = 65_535;
/** Bytes of an archive: what its offsets reach without zip64. */
export const ARCHIVE_BYTES = 2 ** 32 - 1;
/** A JSON file in a project archive: the list of 100,000 images, or 10,000 objects with masks. */
export const JSON_BYTES = 64 << 20;
/** Bytes of one name in an archive: a path of `NAME_CHARS` characters in UTF-8, and its folder. */
export const ARCHIVE_NAME_BYTES = 4_200;
