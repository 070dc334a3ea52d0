/**
 * Damage at rest: what a disk does to a file while nobody looks. A bit that has flipped, a sector
 * that reads as zeros or as 0xFF, a file that lost its end or has grown one.
 *
 * Invariant: the state that is damaged stays as it was, and nothing but the damaged place differs.
 * The result is a disk that was switched off: what it had in its page cache is gone.
 */

import { sectorBytes } from '../../../src/format/layout.ts';
import type { Random } from '../random.ts';
import type { DiskImage } from './disk-image.ts';
import { type DiskState, restarted } from './disk-state.ts';

export type Damage =
  /** Bit 0 to 7 of one byte. */
  | { readonly kind: 'bit'; readonly byte: number; readonly bit: number }
  | { readonly kind: 'zeros' | 'ones'; readonly sector: number }
  | { readonly kind: 'truncated'; readonly length: number }
  /** So many bytes more, each of them `fill`. */
  | { readonly kind: 'grown'; readonly bytes: number; readonly fill: number };

/** The disk with that damage, after it was switched off and on. All of `state` has to be synced. */
export function damaged(state: DiskState, ...damages: readonly Damage[]): DiskState {
  if (state.unsynced.length > 0) throw new Error('only what is at rest can be damaged so');
  return restarted(damages.reduce(damagedImage, state.durable));
}

export function damagedImage(image: DiskImage, damage: Damage): DiskImage {
  const { length } = image;
  const editor = image.edit();
  switch (damage.kind) {
    case 'bit': {
      checkWithin(damage.byte, length);
      const byte = new Uint8Array(1);
      image.read(byte, damage.byte);
      byte[0] = (byte[0] as number) ^ (1 << damage.bit);
      editor.write(byte, damage.byte);
      break;
    }
    case 'zeros':
    case 'ones': {
      const start = damage.sector * sectorBytes;
      checkWithin(start, length);
      const bytes = new Uint8Array(Math.min(sectorBytes, length - start));
      editor.write(bytes.fill(damage.kind === 'ones' ? 0xff : 0), start);
      break;
    }
    case 'truncated':
      checkWithin(damage.length, length);
      editor.resize(damage.length);
      break;
    case 'grown':
      editor.resize(length + damage.bytes);
      editor.write(new Uint8Array(damage.bytes).fill(damage.fill), length);
  }
  return editor.image();
}

function checkWithin(byte: number, length: number): void {
  if (byte < 0 || byte >= length) throw new Error(`byte ${byte} of a file of ${length} bytes`);
}

/** Any damage to a file of that length, which is not empty. */
export function randomDamage(random: Random, length: number): Damage {
  const sector = random.below(Math.ceil(length / sectorBytes));
  switch (random.below(5)) {
    case 0:
      return { kind: 'zeros', sector };
    case 1:
      return { kind: 'ones', sector };
    case 2:
      return { kind: 'truncated', length: random.below(length) };
    case 3: {
      const fill = random.below(2) * 0xff;
      return { kind: 'grown', bytes: 1 + random.below(64 * sectorBytes), fill };
    }
    default:
      return { kind: 'bit', byte: random.below(length), bit: random.below(8) };
  }
}
