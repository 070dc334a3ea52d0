/**
 * All numbers of the format, and their relations.
 *
 * The byte layouts are in `spec/format.md`; a test compares the two. No other file spells a layout
 * number. A change of a number that is on disk makes a new format version.
 */

/** Smallest unit of space in the file. */
export const pageBytes = 4096;
/** The unit that a disk writes whole or not at all. */
export const sectorBytes = 512;
export const sectorsPerPage = pageBytes / sectorBytes;

/** `varve`, then the line endings and the end-of-file mark that a text transfer would damage. */
export const magic: readonly number[] = [0x76, 0x61, 0x72, 0x76, 0x65, 0x0d, 0x0a, 0x1a];
export const formatVersion = 3;
/** Feature flags that this code understands; a file with any other is refused. */
export const knownFlags = 0;
export const saltBytes = 8;

/** The file header: one sector at the start of each of the first two pages. */
export const headerCopies = 2;
export const headerSegmentsOffset = 104;
export const headerSegmentBytes = 10;
export const headerCrcOffset = sectorBytes - 4;
/** Commit log segments that a file header can list. */
export const headerSegmentsMax = 40;

/** The seal at the start of every page and document. */
export const sealBytes = 32;
export const kindRoot = 0x746f6f72;
export const kindBasin = 0x6e736162;
export const kindMap = 0x2070616d;
export const kindMarks = 0x6b72616d;

/** Name of a document in its parent: page, capacity, generation, length, CRC. */
export const documentNameBytes = 22;

/**
 * A grain map: its head (two slots), if it has several mark pages; its mark pages (two slots each);
 * then the grains. A head or mark page says after its seal which map it is of.
 */
export const mapOwnerBytes = 16;
export const markPageNameBytes = 12;
export const markPagesMax = Math.floor((pageBytes - sealBytes - mapOwnerBytes) / markPageNameBytes);
/** Further extents of a map, at most. */
export const furtherExtentsMax = 15;
/** The marks of a mark page begin here. */
export const marksOffset = sealBytes + mapOwnerBytes;
export const marksBytes = pageBytes - marksOffset;
export const grainsPerMarkByte = 4;
export const grainsPerMarkPage = marksBytes * grainsPerMarkByte;

/** Marks of one grain, two bits each. */
export const markFree = 0;
export const markContinues = 1;
export const markValue = 2;
export const markArchived = 3;

export const basinsMax = 254;
export const strataMax = 254;
export const grainsPerValueMax = 255;
export const grainIndexLimit = 2 ** 48;
export const grainExpMin = 5;
export const grainExpStep = 2;
export const grainExpMax = 25;

/** Length u32 and CRC u32, before the bytes of a value. */
export const valuePrefixBytes = 8;
export const valueBytesMax = 4 * 1024 ** 3 - 1024;

/** A commit log sector, and the head of a record in the payload of its first one. */
export const logSectorHeadBytes = 32;
export const logPayloadBytes = sectorBytes - logSectorHeadBytes;
export const recordHeadBytes = 24;
/** Each segment is two lanes of equal length, for the even and for the odd batches. */
export const lanesPerSegment = 2;
export const segmentPagesMin = 16;
/** On a full disk a segment may be shorter: a lane of one page. */
export const segmentPagesShort = 2;
export const segmentPagesMax = 256;
/** Sectors of a record in its lane, at most; a longer body has its own extent. */
export const inlineSectorsMax = 32;

/** A new store: two headers, then the first segment of the commit log. */
export const firstSegmentPage = headerCopies;
/** Length of a new store; a longer file of zeros is no creation cut short. */
export const newStorePages = 48;
