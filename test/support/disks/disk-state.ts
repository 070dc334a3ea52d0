/**
 * A file on a simulated disk at one moment: what is durable, what reads see, and the writes and
 * length changes between, none of which is durable yet.
 *
 * A unit is what survives a power cut or does not, on its own: one 512-byte sector of one write, or
 * one change of the length. Of several units for one sector the last that survived counts. Pure.
 */

import { sectorBytes } from '../../../src/format/layout.ts';
import type { DiskEditor } from './disk-image.ts';
import { DiskImage } from './disk-image.ts';

/** A change that no completed sync covers: whole sectors, or another length of the file. */
export type Unsynced =
  | {
      readonly position: number;
      readonly bytes: Uint8Array;
      /** Where the disk puts them, when not there. */
      readonly lands?: number | 'nowhere';
    }
  /** At least so long (after a write) or just so long (after a truncate). */
  | { readonly length: number; readonly exactly: boolean };

export interface DiskState {
  readonly durable: DiskImage;
  /**
   * What reads saw before the changes: `durable`, but for what a failed sync left behind and for
   * writes that the disk lost or misdirected.
   */
  readonly seen: DiskImage;
  readonly unsynced: readonly Unsynced[];
}

export const emptyDisk: DiskState = {
  durable: DiskImage.empty,
  seen: DiskImage.empty,
  unsynced: [],
};

/** The disk after the power has come back: nothing is under way. */
export function restarted(durable: DiskImage): DiskState {
  return { durable, seen: durable, unsynced: [] };
}

export function unitsOf(change: Unsynced): number {
  return 'length' in change ? 1 : change.bytes.length / sectorBytes;
}

export function unitCount(unsynced: readonly Unsynced[]): number {
  return unsynced.reduce((sum, change) => sum + unitsOf(change), 0);
}

export function lengthAfter(length: number, change: Unsynced): number {
  if (!('length' in change)) return length;
  return change.exactly ? change.length : Math.max(length, change.length);
}

/**
 * Applies changes one after another, those units of them that `keeps` says, as the page cache has
 * them or as the disk gets them.
 */
export function apply(
  base: DiskImage,
  unsynced: readonly Unsynced[],
  keeps: (unit: number) => boolean = () => true,
  as: 'cached' | 'disk' = 'cached',
): DiskEditor {
  const editor = base.edit();
  let unit = 0;
  for (const change of unsynced) {
    if ('length' in change) {
      if (keeps(unit)) editor.resize(lengthAfter(editor.length, change));
      unit += 1;
      continue;
    }
    const { bytes, position, lands = position } = change;
    const place = as === 'cached' ? position : lands;
    for (let at = 0; at < bytes.length; ) {
      const from = at;
      while (at < bytes.length && keeps(unit + at / sectorBytes)) at += sectorBytes;
      if (at === from) at += sectorBytes;
      else if (place !== 'nowhere') editor.write(bytes.subarray(from, at), place + from);
    }
    unit += bytes.length / sectorBytes;
  }
  editor.clearFrom(editor.length);
  return editor;
}

/** What is on the disk after a power cut in which those units survived that `keeps` says. */
export function powerCut(state: DiskState, keeps: (unit: number) => boolean): DiskImage {
  return apply(state.durable, state.unsynced, keeps, 'disk').image();
}
