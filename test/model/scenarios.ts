/**
 * Hand-made histories for the rules that random ones hardly ever need.
 *
 * Each says which rules stand between it and a broken promise, what must be found in the end, and
 * what is found where the rules are left out. A rule may need another one left out too, where two
 * of them guard the same place.
 */

import type { RuleName, Rules } from './rules.ts';
import { at, blanks, none, not, Scenario } from './scenario.ts';
import type { Write } from './sectors.ts';

export interface ScriptedHistory {
  readonly title: string;
  readonly rules: readonly RuleName[];
  readonly run: (rules: Rules) => string;
  readonly kept: string;
  readonly broken: string;
}

const blank = undefined;
const rotten = { kind: 'rotten' } as const;
/** The last sync of a recovery that takes a batch back: of the blanks and the second header copy. */
const openingSyncs = 3;
const emptyStore = '0 --------';

export const scriptedHistories: readonly ScriptedHistory[] = [
  {
    title: 'a header that a failed sync left in the page cache only, then rot in the other copy',
    rules: ['newerOfEqual'],
    run: (rules) => {
      const scenario = new Scenario(rules);
      // Creation syncs the zeros, the first copy, the second copy.
      scenario.failSync(3, none, () => scenario.open());
      return scenario.open().cut().rot('header0', rotten).shows();
    },
    kept: emptyStore,
    broken: 'refused as corrupt',
  },
  {
    title: 'the only header, that a failed sync left in the page cache, then rot in the other copy',
    rules: ['rewriteHeader'],
    run: (rules) => {
      const scenario = new Scenario(rules);
      scenario.failSync(2, none, () => scenario.open());
      return scenario.open().cut().rot('header1', rotten).shows();
    },
    kept: emptyStore,
    broken: 'refused as corrupt',
  },
  {
    title: 'a failed sync that was to cover both header copies, then rot in the one that got there',
    rules: ['oneHeaderAtATime'],
    run: (rules) => {
      const scenario = new Scenario(rules);
      scenario.failSync(2, at('header1'), () => scenario.open());
      return scenario.open().cut().rot('header1', rotten).shows();
    },
    kept: emptyStore,
    broken: 'refused as corrupt',
  },
  {
    title: 'rot in one header copy, an opening, then rot in the other',
    rules: ['openAtOnce'],
    run: (rules) => {
      const scenario = new Scenario(rules).open().commit('0a').close();
      return scenario.rot('header0', rotten).open().rot('header1', rotten).shows();
    },
    kept: '1 a-------',
    broken: 'refused as corrupt',
  },
  {
    title: 'a sync of the blank that fails, and an opening that sees the blank only',
    rules: ['openAtOnce'],
    run: (rules) => {
      const scenario = new Scenario(rules).open();
      // The record of the first commit lands, but reports an error; its blank is lost.
      let syncs = 0;
      scenario.failWrite(at('log0.1/0'), () => scenario.commit('0a'), {
        onSync: () => (syncs++ === 0 ? 'error' : 'none'),
        survivors: () => not(blanks),
      });
      scenario.open();
      scenario.cutDuring(1, none, () => scenario.commit('1b'));
      return scenario.shows();
    },
    kept: emptyStore,
    broken: '1 a-------',
  },
  {
    title: 'a batch taken back, its values written again by another batch that is cut',
    rules: ['epoch'],
    run: (rules) => takenBackThenHalfRetried(rules),
    kept: '2 aa------',
    broken: '3 -aa-----',
  },
  {
    title: 'a batch taken back, a cut while its values are written again, then rot in one header',
    rules: ['takeBackAtOnce'],
    run: (rules) => {
      const scenario = new Scenario(rules).open().commit('0a').commit('1a');
      scenario.cutDuring(1, at('log0.1'), () => scenario.commit('2a', [0]));
      scenario.open();
      scenario.cutDuring(1, at('values'), () => scenario.commit('2a', [1]));
      return scenario.rot('header0', rotten).shows();
    },
    kept: '2 aa------',
    broken: '3 -aa-----',
  },
  {
    title: 'a batch that a failed sync left in the page cache, and an opening that is cut',
    rules: ['confirmAfterSync'],
    run: (rules) => {
      const scenario = new Scenario(rules).open().commit('0a');
      scenario.failSync(1, none, () => scenario.commit('1b'));
      scenario.cutDuring(2, at('header'), () => scenario.open());
      return scenario.shows();
    },
    kept: '2 ab------',
    broken: 'refused as corrupt',
  },
  {
    title: 'a batch of a lost opening taken back, its values written again by a batch that is cut',
    rules: ['topEpoch', 'blankTakenBack', 'openAtOnce'],
    run: (rules) => {
      const scenario = new Scenario(rules).open().commit('0a 1a').close().open();
      // The record has the epoch of a header that never gets to the disk.
      scenario.cutDuring(1, at('log0.0'), () => scenario.commit('2a', [0]));
      scenario.open();
      scenario.cutDuring(1, at('values'), () => scenario.commit('2a', [1]));
      return scenario.shows();
    },
    kept: '1 aa------',
    broken: '2 -aa-----',
  },
  {
    title: 'a small batch taken back, a larger one kept in the next segment, then the blank lost',
    rules: ['newestAttempt'],
    run: (rules) => attemptsInTwoSegments(rules, 'the blank is lost').cut().shows(),
    kept: '3 -aaaaabb',
    broken: '3 aaaaaab-',
  },
  {
    title: 'a small batch taken back, a larger one kept in the next segment, which then rots',
    rules: ['blankTakenBack'],
    run: (rules) => attemptsInTwoSegments(rules, 'nothing is lost').rot('log1.1', blank).shows(),
    kept: 'refused as corrupt',
    broken: '3 aaaaaab-',
  },
  {
    title: 'a rejected record whose second sector stays behind a later head of the same batch',
    rules: ['bodyCrc'],
    run: (rules) => {
      const scenario = new Scenario(rules).open();
      scenario.failWrite(at('log0.1/1'), () => scenario.commit('0a 1a 2a'));
      const survives = not(at('log0.1/1'));
      scenario.cutDuring(1, survives, () => scenario.commit('3b 4b 5b'));
      return scenario.shows();
    },
    kept: emptyStore,
    broken: '1 --abb---',
  },
  {
    title: 'the record of a batch that an opening has confirmed, blanked by rot',
    rules: ['confirmedIsKept'],
    run: (rules) => new Scenario(rules).open().commit('0a').open().rot('log0.1', blank).shows(),
    kept: 'refused as corrupt',
    broken: emptyStore,
  },
  {
    title: 'a first record in a segment that one header lists, then rot in that header',
    rules: ['listedInBoth'],
    run: (rules) => {
      const scenario = new Scenario(rules).open();
      scenario.commit('0a 1a 2a 3a 4a 5a 6a').commit('7a');
      // No room for the next: a header is to list the next segment, and then its mirror.
      const mirrors = ({ sector }: Write) => sector?.kind === 'header' && sector.generation === 6;
      const commit = () => scenario.commit('', [0]);
      scenario.failWrite(mirrors, commit, { failedWriteLands: () => false });
      if (scenario.failed) commit();
      return scenario.rot('header1', rotten).shows();
    },
    kept: '3 -aaaaaaa',
    broken: '2 aaaaaaaa',
  },
];

/** The values of the batch that is taken back are there in the end, but not its record. */
function takenBackThenHalfRetried(rules: Rules): string {
  const scenario = new Scenario(rules).open().commit('0a').commit('1a');
  scenario.cutDuring(1, at('log0.1'), () => scenario.commit('2a', [0]));
  scenario.failSync(openingSyncs, not(blanks), () => scenario.open());
  scenario.open();
  scenario.cutDuring(1, at('values'), () => scenario.commit('2a', [1]));
  return scenario.shows();
}

/** Batch 3: one attempt at the end of the first segment, another in the second, and confirmed. */
function attemptsInTwoSegments(
  rules: Rules,
  loss: 'the blank is lost' | 'nothing is lost',
): Scenario {
  const scenario = new Scenario(rules).open().commit('0a 1a 2a 3a 4a').commit('5a');
  scenario.cutDuring(1, at('log0.1'), () => scenario.commit('6a'));
  if (loss === 'the blank is lost') {
    scenario.failSync(openingSyncs, not(blanks), () => scenario.open());
  }
  return scenario.open().commit('6b 7b', [0]).open();
}
