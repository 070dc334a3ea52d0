/**
 * What a sector of the model's disk can hold, and where: the format, without its bytes.
 *
 * A sector is written whole or not at all; everything longer than one sector can be torn. A CRC is
 * modelled by the content that it covers, so that equal bytes have equal CRCs, as in a real file.
 * A place is named 'page/sector'; sectors of one page share the fate of a page in the page cache.
 */

export const mapCount = 2;
export const grainsPerMap = 4;
export const grainCount = mapCount * grainsPerMap;
export const partsPerMap = 2;
const grainsPerPart = grainsPerMap / partsPerMap;
/** Sectors of one lane of a log segment: one page, room for two or three records. */
export const laneSectors = 4;
const opsPerSector = 2;

export type Side = 0 | 1;

/** Places of the file for a map with its grains: one more than there are maps. */
export const areaCount = mapCount + 1;

/** How a parent names a grain map: where it is, which slot, and what has to be there. */
export interface MapName {
  readonly area: number;
  readonly slot: Side;
  readonly generation: number;
  readonly crc: string;
}

export interface Header {
  readonly kind: 'header';
  /** Rises with each write of either copy; the newest valid copy counts. */
  readonly generation: number;
  /** The batch that every named map contains. */
  readonly base: number;
  /** Undefined where a map was never written: all its grains are free. */
  readonly maps: readonly (MapName | undefined)[];
  /** Log segments that records may be in, in order of use. */
  readonly segments: readonly number[];
  readonly epoch: number;
  readonly confirmed: number;
  readonly checkpoint: number;
  readonly clean: boolean;
}

export type Op =
  | {
      readonly kind: 'allocate';
      readonly grain: number;
      readonly crc: string;
      /** The bytes, if the record carries them: they go to the grain later. */
      readonly carried?: string | undefined;
    }
  | { readonly kind: 'free'; readonly grain: number }
  /** The map, with its values, is in another area from now on. */
  | { readonly kind: 'move'; readonly map: number; readonly area: number }
  | { readonly kind: 'checkpoint'; readonly batch: number };

export interface MapPart {
  readonly kind: 'map';
  /** The map that it is of: its area may have been another map's. */
  readonly map: number;
  readonly generation: number;
  readonly stamp: number;
  readonly used: readonly boolean[];
  /** Of the whole map, not of this part alone. */
  readonly crc: string;
}

export interface LogSector {
  readonly kind: 'log';
  /** Its own place, so that nothing that was copied elsewhere can pass for a log sector. */
  readonly place: string;
  readonly epoch: number;
  readonly batch: number;
  /** 0 for the head of a record. */
  readonly index: number;
  /** Only the head knows how many sectors its record has. */
  readonly sectorCount: number;
  /** Only the head knows the CRC of the whole body. */
  readonly bodyCrc: string;
  readonly ops: readonly Op[];
}

export interface ValueSector {
  readonly kind: 'value';
  readonly grain: number;
  readonly bytes: string;
}

/** Undefined is a blank sector: zeros. */
export type Sector =
  | Header
  | MapPart
  | LogSector
  | ValueSector
  | { readonly kind: 'foreign' }
  | { readonly kind: 'rotten' }
  | undefined;

export interface LogPosition {
  readonly segment: number;
  readonly lane: Side;
  readonly index: number;
}

export interface LogRecord {
  readonly batch: number;
  readonly epoch: number;
  readonly ops: readonly Op[];
  readonly sectorCount: number;
  readonly position: LogPosition;
}

export interface Write {
  readonly place: string;
  readonly sector: Sector;
}

export interface GrainMap {
  readonly stamp: number;
  readonly used: readonly boolean[];
}

export function pageOf(place: string): string {
  return place.slice(0, place.indexOf('/'));
}

export function headerPlace(copy: Side): string {
  return `header${copy}/0`;
}

export function mapOf(grain: number): number {
  return Math.floor(grain / grainsPerMap);
}

/** A map that was never moved is in the area of its own number. */
export function valuePlace(grain: number, area = mapOf(grain)): string {
  return `values${area}/${grain % grainsPerMap}`;
}

export function valueCrc(grain: number, bytes: string): string {
  return `${grain}:${bytes}`;
}

export function mapPlace(area: number, slot: Side, part: number): string {
  return `map${area}.${slot}/${part}`;
}

export function logPlace(position: LogPosition): string {
  return `log${position.segment}.${position.lane}/${position.index}`;
}

export function segmentPlaces(segment: number): string[] {
  const places: string[] = [];
  for (const lane of [0, 1] as const) {
    for (let index = 0; index < laneSectors; index++) {
      places.push(logPlace({ segment, lane, index }));
    }
  }
  return places;
}

export function mapCrc(generation: number, map: GrainMap): string {
  return `${generation}|${map.stamp}|${map.used.map((used) => (used ? 1 : 0)).join('')}`;
}

export function encodeMap(map: number, name: MapName, content: GrainMap): Write[] {
  const writes: Write[] = [];
  for (let part = 0; part < partsPerMap; part++) {
    const used = content.used.slice(part * grainsPerPart, (part + 1) * grainsPerPart);
    const { generation, crc } = name;
    const { stamp } = content;
    const sector: MapPart = { kind: 'map', map, generation, stamp, used, crc };
    writes.push({ place: mapPlace(name.area, name.slot, part), sector });
  }
  return writes;
}

/** The marks that these sectors hold together, where they belong together, and whose they are. */
export function decodeMap(
  sectors: readonly Sector[],
): (GrainMap & { map: number; crc: string }) | undefined {
  const first = sectors[0];
  if (first?.kind !== 'map') return undefined;
  const used: boolean[] = [];
  for (const sector of sectors) {
    if (sector?.kind !== 'map') return undefined;
    used.push(...sector.used);
  }
  const marks = { map: first.map, stamp: first.stamp, used, crc: first.crc };
  return mapCrc(first.generation, marks) === first.crc ? marks : undefined;
}

export function opsCrc(ops: readonly Op[]): string {
  return ops
    .map((op) => {
      if (op.kind === 'allocate') return `+${op.grain}=${op.crc}`;
      if (op.kind === 'move') return `${op.map}>${op.area}`;
      return op.kind === 'free' ? `-${op.grain}` : `c${op.batch}`;
    })
    .join(' ');
}

export function sectorsNeeded(ops: readonly Op[]): number {
  return Math.max(1, Math.ceil(ops.length / opsPerSector));
}

export function encodeRecord(record: LogRecord): Write[] {
  const { epoch, batch, ops, sectorCount, position } = record;
  const writes: Write[] = [];
  for (let index = 0; index < sectorCount; index++) {
    const place = logPlace({ ...position, index: position.index + index });
    const sector: LogSector = {
      kind: 'log',
      place,
      epoch,
      batch,
      index,
      sectorCount: index === 0 ? sectorCount : 0,
      bodyCrc: index === 0 ? opsCrc(ops) : '',
      ops: ops.slice(index * opsPerSector, (index + 1) * opsPerSector),
    };
    writes.push({ place, sector });
  }
  return writes;
}

/** Whether two headers refer to the same things. */
export function sameContent(one: Header | undefined, two: Header | undefined): boolean {
  if (!one || !two) return false;
  return (
    one.base === two.base &&
    one.epoch === two.epoch &&
    one.clean === two.clean &&
    one.segments.join() === two.segments.join() &&
    one.maps.every((name, map) => isSameName(name, two.maps[map]))
  );
}

function isSameName(one: MapName | undefined, two: MapName | undefined): boolean {
  return one?.crc === two?.crc && one?.area === two?.area;
}
