/**
 * Checks the values of a group of mark pages, and looks for those that nothing lists.
 *
 * Invariants:
 * - After it, the marks of a page say which values are copied: their bytes have their checksum. The
 *   grains of a lost value are marked as archived.
 * - A value that a record after the base carries has the bytes of the record, whatever its grains
 *   hold; one that it does not carry has the checksum of the record. A carried value of an earlier
 *   record has those only if its grains are damaged.
 * - Memory does not depend on the length of a value.
 */

import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import {
  grainsPerValueMax,
  markArchived,
  markFree,
  valueBytesMax,
  valuePrefixBytes,
} from '../../format/layout.ts';
import { grainCount, valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { type FilePart, partsWithin } from '../file/file-parts.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import { markIn } from '../marks/packed-marks.ts';
import { AheadReader, type DamagedFile } from './damaged-file.ts';
import type { RecordPlace } from './found-records.ts';
import type { KnownStratum } from './known-strata.ts';
import type { LoggedValue, WorkingPage } from './working-page.ts';

/** A value that was listed, but cannot be read. */
export interface LostValue {
  readonly id: GrainId;
  /** The place of its prefix. */
  readonly offset: number;
  readonly reason: string;
}

const lostMax = 10_000;
const pieceBounds = { min: 64 * 1024, max: 1024 * 1024 };

export class ValueCheck {
  readonly #operation: RunningOperation;
  readonly #ahead: AheadReader;
  readonly #pieceBytes: number;
  readonly #base: number;
  /** By the offset of their grains: values whose bytes the log has. */
  readonly fromLog = new Map<number, RecordPlace>();
  readonly lost: LostValue[] = [];
  lostCount = 0;
  unlistedCount = 0;
  #checked = 0;

  /** `base`: values of later records are those of the records. */
  constructor(file: DamagedFile, base: number, operation: RunningOperation) {
    this.#operation = operation;
    this.#base = base;
    this.#pieceBytes = operation.pieceBytes(pieceBounds);
    this.#ahead = new AheadReader(file, this.#pieceBytes);
  }

  /** Rejects if the operation is stopped. */
  async check(stratum: KnownStratum, page: WorkingPage): Promise<void> {
    const { map, firstIndex } = page;
    const scan = new MarkScan(page.marks, page.grains);
    while (scan.next()) {
      await this.#operation.breathe();
      const { at, count, mark } = scan;
      if (mark === markArchived) {
        page.drop(at, count);
        continue;
      }
      const index = firstIndex + at;
      const logged = page.logged.get(at);
      const reason = await this.#problem(stratum, { map, index, count }, logged);
      if (reason === undefined) continue;
      page.lose(at);
      this.lostCount += 1;
      if (this.lost.length === lostMax) continue;
      const id = joinGrainId(stratum.basin, stratum.number, index);
      this.lost.push({ id, offset: map.grainOffset(index), reason });
    }
    if (page.hasUnlisted) await this.#look(stratum, page);
  }

  /** Why the value cannot be copied; undefined if it can. */
  async #problem(
    stratum: KnownStratum,
    value: { readonly map: GrainMap; readonly index: number; readonly count: number },
    logged: LoggedValue | undefined,
  ): Promise<string | undefined> {
    const { map, index, count } = value;
    const found = logged?.count === count ? logged : undefined;
    const isLater = found !== undefined && found.place.batch > this.#base;
    const capacity = count * 2 ** map.grainExp;
    const isCarried = found?.isCarried && found.length + valuePrefixBytes <= capacity;
    if (isCarried && isLater) {
      this.fromLog.set(map.grainOffset(index), found.place);
      return undefined;
    }
    const prefix = count > grainsPerValueMax ? undefined : await this.#read(map, index, 0, 8);
    let reason = 'has more grains than a value can have';
    if (prefix !== undefined) {
      const [length, crc] = [getU32(prefix, 0), getU32(prefix, 4)];
      const isOther = isLater && (found.length !== length || found.crc !== crc);
      if (grainCount(length, map.grainExp) !== count) reason = 'is not as long as its grains';
      else if (isOther) reason = 'is not the one that its batch wrote';
      else if ((await this.#crc(stratum, map, index, length)) === crc) return undefined;
      else reason = 'fails its checksum';
    }
    if (!isCarried) return reason;
    this.fromLog.set(map.grainOffset(index), found.place);
    return undefined;
  }

  /** Looks for values in grains of which nothing is known. */
  async #look(stratum: KnownStratum, page: WorkingPage): Promise<void> {
    const { map, firstIndex, grains } = page;
    for (let at = 0; at < grains; ) {
      await this.#operation.breathe();
      if (markIn(page.marks, at) !== markFree || !page.isUnlisted(at, 1)) {
        at += 1;
        continue;
      }
      const prefix = await this.#read(map, firstIndex + at, 0, valuePrefixBytes);
      const [length, crc] = [getU32(prefix, 0), getU32(prefix, 4)];
      const count = length <= valueBytesMax ? grainCount(length, map.grainExp) : 0;
      const isPossible = count > 0 && count <= grainsPerValueMax && page.isUnlisted(at, count);
      if (isPossible && (await this.#crc(stratum, map, firstIndex + at, length)) === crc) {
        page.list(at, count);
        this.unlistedCount += 1;
        at += count;
      } else at += 1;
    }
  }

  async #crc(stratum: KnownStratum, map: GrainMap, index: number, length: number): Promise<number> {
    const id = { basin: stratum.basin, stratum: stratum.number, index };
    let crc = valueCrcStart(id, length);
    for (let at = 0; at < length; ) {
      const bytes = Math.min(length - at, this.#pieceBytes);
      const piece = await this.#read(map, index, valuePrefixBytes + at, bytes);
      crc = crc32(piece, crc);
      at += bytes;
      await this.#operation.breathe();
    }
    return crc;
  }

  /** `length` bytes from byte `from` of the grains: valid until the next read. */
  async #read(map: GrainMap, index: number, from: number, length: number): Promise<Uint8Array> {
    if (!map.spread) return await this.#bytes(map.grainOffset(index) + from, length);
    const bytes = new Uint8Array(length);
    const parts: readonly FilePart[] = map.parts(index, from + length) ?? [
      { offset: map.grainOffset(index), bytes: from + length },
    ];
    let filled = 0;
    for (const part of partsWithin(parts, from, length)) {
      bytes.set(await this.#bytes(part.offset, part.bytes), filled);
      filled += part.bytes;
    }
    return bytes;
  }

  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const there = this.#ahead.there(offset, length);
    if (there !== undefined) return there;
    await this.#operation.spend(this.#pieceBytes);
    this.#checked += this.#pieceBytes;
    const done = this.#checked;
    this.#operation.report({ phase: 'check', done, total: undefined, unit: 'bytes' });
    return await this.#ahead.read(offset, length);
  }
}
