/**
 * A question: contestants that do the same work, measured in turn, and goals held against them.
 * `ask` is the whole main program of a bench.
 *
 * To add one: write `bench/<name>.ts` that calls `ask` with its sections and goals
 * (`one-client.ts` is the plainest), and add <name> to the list in `run.ts`. A section's
 * contestants (`contestant.ts`) are opened together, so they must fit on the disk together; floors
 * come from floor-file.ts and group-floor.ts, peers from peers/installed-peers.ts. What is no time
 * of an operation (bytes of a file, memory) is measured by a section's `measure` instead.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Contestant, Effort } from './contestant.ts';
import { removeFolder, withDiskFolder } from './disk-folder.ts';
import { machineOf, machineText } from './machine.ts';
import { missingPeers } from './peers/installed-peers.ts';
import { bestPeerRate, bestPeerTime, goalText, type Shown, sectionText } from './report.ts';
import { type Measured, measureInTurn } from './turns.ts';

export interface TimedSection {
  /** Its title, by which goals name it. */
  readonly title: string;
  readonly shown: Shown;
  readonly effort: Effort;
  readonly contestants: readonly Contestant[];
}

/** A section that measures in its own way: the lines to show, and figures that goals may name. */
export interface FreeSection {
  readonly title: string;
  measure(folder: string): Promise<FreeResult> | FreeResult;
}

export interface FreeResult {
  readonly text: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** Medians by section and contestant; NaN where that was not measured. */
export interface Figures {
  /** Milliseconds of one operation. */
  time(section: string, contestant: string): number;
  /** Operations in a second. */
  rate(section: string, contestant: string): number;
  bestPeerTime(section: string): number;
  bestPeerRate(section: string): number;
  /** What a section that measures in its own way calls so. */
  figure(section: string, name: string): number;
}

/** `value` is to be at most, or at least, so much. */
export interface Goal {
  readonly text: string;
  readonly most?: number;
  readonly least?: number;
  value(figures: Figures): number;
}

export interface Question {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  /** False where no peer has a part in it, so that missing ones need not be told of. */
  readonly peers: boolean;
  /** With `quick` it should take some 10 seconds in all. */
  sections(quick: boolean): readonly (TimedSection | FreeSection)[];
  readonly goals: readonly Goal[];
}

interface SectionResult {
  readonly title: string;
  readonly measured: readonly Measured[];
  readonly figures: Readonly<Record<string, number>>;
}

function figuresOf(results: readonly SectionResult[]): Figures {
  const section = (title: string): SectionResult => {
    const found = results.find((result) => result.title === title);
    if (found === undefined) throw new Error(`no section is called '${title}'`);
    return found;
  };
  const one = (title: string, name: string): Measured | undefined =>
    section(title).measured.find(({ contestant }) => contestant.name === name);
  return {
    time: (title, name) => one(title, name)?.time.median ?? Number.NaN,
    rate: (title, name) => one(title, name)?.rate.median ?? Number.NaN,
    bestPeerTime: (title) => bestPeerTime(section(title).measured),
    bestPeerRate: (title) => bestPeerRate(section(title).measured),
    figure: (title, name) => section(title).figures[name] ?? Number.NaN,
  };
}

function resultsOfGoals(goals: readonly Goal[], figures: Figures) {
  return goals.map(({ text, most = Number.POSITIVE_INFINITY, least = -most, value }) => {
    const found = value(figures);
    return { goal: text, value: found, holds: found <= most && found >= least };
  });
}

/** Measures one section in a folder of its own, which is gone afterwards. */
async function measureSection(
  section: TimedSection | FreeSection,
  folder: string,
  print: (text: string) => void,
): Promise<SectionResult> {
  mkdirSync(folder);
  const { title } = section;
  try {
    if ('measure' in section) {
      const { text, figures } = await section.measure(folder);
      print(`${title}\n\n${text}\n`);
      return { title, measured: [], figures };
    }
    const measured = await measureInTurn(section.contestants, section.effort, folder);
    print(`${sectionText(title, section.shown, measured)}\n`);
    return { title, measured, figures: {} };
  } finally {
    removeFolder(folder);
    // What one section left in memory is not to be cleared away in the time of the next.
    globalThis.gc?.();
  }
}

function jsonOf(results: readonly SectionResult[]) {
  return results.map(({ title, measured, figures }) => ({
    title,
    contestants: measured.map(({ contestant: { name, kind }, time, rate, note, failure }) => ({
      name,
      kind,
      milliseconds: time,
      perSecond: rate,
      note,
      failure,
    })),
    figures,
  }));
}

const usage = `Options:
  --quick        shorter, so less certain
  --json FILE    the figures as JSON into a file; '-' for the standard output, text goes to the other`;

/** Measures everything, prints it, and writes the JSON that the command line asks for. */
export async function ask(question: Question): Promise<void> {
  const { quick, json, help } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  }).values;
  if (help) {
    console.log(`${question.title}\n\n${usage}`);
    return;
  }
  const print = json === '-' ? console.error : console.log;
  await withDiskFolder('varve-bench-', async (folder) => {
    const machine = machineOf(folder);
    print(`${question.title}\n${machineText(machine)}\n`);
    if (question.peers && missingPeers.length > 0) {
      print(`Without ${missingPeers.join(', ')}; 'npm run bench:install' installs the peers.\n`);
    }
    const results: SectionResult[] = [];
    for (const [at, section] of question.sections(quick).entries()) {
      results.push(await measureSection(section, join(folder, String(at)), print));
    }
    const goals = resultsOfGoals(question.goals, figuresOf(results));
    for (const goal of goals) print(goalText(goal));
    const failed = results
      .flatMap(({ measured }) => measured)
      .filter(({ contestant, failure }) => contestant.kind !== 'peer' && failure !== undefined);
    if (failed.length > 0) process.exitCode = 1;
    if (json === undefined) return;
    const { name, title } = question;
    const content = { name, title, quick, machine, sections: jsonOf(results), goals };
    const text = `${JSON.stringify(content, undefined, 2)}\n`;
    if (json === '-') process.stdout.write(text);
    else writeFileSync(json, text);
  });
}
