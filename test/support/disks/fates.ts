/**
 * Which unsynced sectors survive a power cut: the fates that are tried at one cut.
 *
 * Nothing, everything, everything but the new length; each single sector, and each whole write,
 * lost alone and kept alone, up to a bound; random sets. A fate that keeps nothing of the newest
 * operation was tried at the cut before, and is left out. Deterministic from the seed.
 */

import { Random } from '../random.ts';
import { type DiskState, unitsOf } from './disk-state.ts';

export interface Fate {
  readonly name: string;
  keeps(unit: number): boolean;
}

export interface FateBounds {
  /** Single sectors lost, and kept; whole writes lost, and kept. */
  readonly singles: number;
  readonly randoms: number;
}

interface Change {
  readonly from: number;
  readonly to: number;
  readonly isLength: boolean;
}

function changesOf({ unsynced }: DiskState): Change[] {
  let from = 0;
  return unsynced.map((change) => {
    const to = from + unitsOf(change);
    const told = { from, to, isLength: 'length' in change };
    from = to;
    return told;
  });
}

/** At most `bound` numbers from `from` to before `to`, all of them where they are few. */
function some(from: number, to: number, bound: number, random: Random): number[] {
  const all = to - from;
  if (all <= bound) return Array.from({ length: all }, (_, at) => from + at);
  const chosen = new Set([from, to - 1]);
  while (chosen.size < bound) chosen.add(from + random.below(all));
  return [...chosen].slice(0, bound);
}

/** The fates of a cut. `known`: so many of the changes could be lost at the cut before, too. */
export function* fatesOf(
  state: DiskState,
  known: number,
  bounds: FateBounds,
  seed: number,
): Generator<Fate> {
  const random = new Random(seed);
  const changes = changesOf(state);
  const units = changes.at(-1)?.to ?? 0;
  const firstNew = changes[known]?.from ?? units;
  if (known === 0) yield { name: 'nothing is kept', keeps: () => false };
  if (units === firstNew) return;
  yield { name: 'everything is kept', keeps: () => true };
  const lengths = new Set(changes.filter(({ isLength }) => isLength).map(({ from }) => from));
  if (lengths.size > 0 && lengths.size < units) {
    yield { name: 'the new length is lost', keeps: (unit) => !lengths.has(unit) };
  }
  if (units > 1) {
    for (const lost of some(0, units, bounds.singles, random)) {
      yield { name: `unit ${lost} of ${units} is lost`, keeps: (unit) => unit !== lost };
    }
    for (const kept of some(firstNew, units, bounds.singles, random)) {
      yield { name: `unit ${kept} of ${units} alone is kept`, keeps: (unit) => unit === kept };
    }
  }
  if (changes.length > 1 && units > changes.length) yield* wholes(changes, known, bounds, random);
  if (units > 2) yield* atRandom(changes, bounds.randoms, random);
}

function* wholes(
  changes: readonly Change[],
  known: number,
  bounds: FateBounds,
  random: Random,
): Generator<Fate> {
  for (const at of some(0, changes.length, bounds.singles, random)) {
    const { from, to } = changes[at] as Change;
    if (to - from === 1) continue;
    yield { name: `change ${at} is lost`, keeps: (unit) => unit < from || unit >= to };
  }
  for (const at of some(known, changes.length, bounds.singles, random)) {
    const { from, to } = changes[at] as Change;
    if (to - from === 1) continue;
    yield { name: `change ${at} alone is kept`, keeps: (unit) => unit >= from && unit < to };
  }
}

function* atRandom(changes: readonly Change[], count: number, random: Random): Generator<Fate> {
  const units = changes.at(-1)?.to ?? 0;
  for (let at = 0; at < count; at++) {
    const share = [0.1, 0.5, 0.9, 0.97][random.below(4)] as number;
    const kept = new Uint8Array(units);
    const byWrite = random.chance(0.5);
    for (const { from, to } of changes) {
      const whole = byWrite ? random.chance(share) : undefined;
      for (let unit = from; unit < to; unit++) kept[unit] = +(whole ?? random.chance(share));
    }
    yield { name: `random set ${at}`, keeps: (unit) => kept[unit] === 1 };
  }
}
