/**
 * A question: contestants that do the same work, measured in turn, and goals held against them.
 * `ask` is the whole main program of a bench, and of the processes of its contestants.
 *
 * To add one: write `bench/<name>.ts` that calls `ask` with its sections and goals
 * (`one-client.ts` is the plainest), and add <name> to the list in `schedule.ts`. A section's
 * contestants (`contestant.ts`) are opened together, so they must fit on the disk together; floors
 * come from floor-file.ts and group-floor.ts, peers from peers/installed-peers.ts. Commits are
 * measured in processes of their own (`processes/process-section.ts`). What is no time of an
 * operation (bytes of a file, memory) is measured by a section's `measure` instead.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Store } from '../../src/index.ts';
import type { Answer, AnswerSection, Chart } from './answer.ts';
import type { Contestant, Effort } from './contestant.ts';
import { removeFolder, withDiskFolder } from './disk-folder.ts';
import { type Figures, type Goal, goalText, resultOfGoal } from './goals.ts';
import { machineOf, machineText } from './machine.ts';
import type { Measured } from './measured.ts';
import { isInstalled, missingPeers } from './peers/installed-peers.ts';
import { serve, servedContestant } from './processes/contestant-server.ts';
import {
  contestantOf,
  measureInProcesses,
  type Place,
  type ProcessSection,
} from './processes/process-section.ts';
import {
  bestPeerAverage,
  bestPeerRate,
  bestPeerTime,
  type Shown,
  sectionChart,
  sectionText,
} from './report.ts';
import { measureInTurn } from './turns.ts';

export interface TimedSection {
  /** Its title, by which goals name it. */
  readonly title: string;
  readonly shown: Shown;
  readonly effort: Effort;
  readonly contestants: readonly Contestant[];
}

export type Section = TimedSection | ProcessSection | FreeSection;

/** A section that measures in its own way: the lines to show, and figures that goals may name. */
export interface FreeSection {
  readonly title: string;
  measure(folder: string): Promise<FreeResult> | FreeResult;
}

export interface FreeResult {
  readonly text: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly charts?: readonly Chart[];
}

export interface Question {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  /** False where no peer has a part in it, so that missing ones need not be told of. */
  readonly peers: boolean;
  /** With `quick` it should take some 10 seconds in all. */
  sections(quick: boolean): readonly Section[];
  readonly goals: readonly Goal[];
}

interface SectionResult {
  readonly title: string;
  readonly measured: readonly Measured[];
  readonly result: FreeResult;
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
    average: (title, name) => one(title, name)?.average ?? Number.NaN,
    p99: (title, name) => one(title, name)?.time.p99 ?? Number.NaN,
    rate: (title, name) => one(title, name)?.rate.median ?? Number.NaN,
    bestPeerTime: (title) => bestPeerTime(section(title).measured),
    bestPeerAverage: (title) => bestPeerAverage(section(title).measured),
    bestPeerRate: (title) => bestPeerRate(section(title).measured),
    figure: (title, name) => section(title).result.figures[name] ?? Number.NaN,
  };
}

async function measuredInProcesses(
  section: ProcessSection,
  place: Place,
): Promise<SectionResult[]> {
  const contestants = section.contestants.filter(isInstalled);
  const halves = await measureInProcesses({ ...section, contestants }, place);
  return halves.map(({ title, measured, text, charts }) => ({
    title,
    measured,
    result: { text, figures: {}, charts },
  }));
}

async function measured(section: Section, place: Place): Promise<SectionResult[]> {
  const { title } = section;
  if ('measure' in section) {
    return [{ title, measured: [], result: await section.measure(place.folder) }];
  }
  if ('fresh' in section) return await measuredInProcesses(section, place);
  const { shown, effort } = section;
  const contestants = section.contestants.filter(isInstalled);
  const found = await measureInTurn(contestants, effort, place.folder);
  const charts = [sectionChart(title, shown, found)];
  return [
    { title, measured: found, result: { text: sectionText(shown, found), figures: {}, charts } },
  ];
}

/** Measures one section in a folder of its own, which is gone afterwards. */
async function measureSection(section: Section, place: Place): Promise<SectionResult[]> {
  mkdirSync(place.folder);
  try {
    return await measured(section, place);
  } finally {
    removeFolder(place.folder);
    // What one section left in memory is not to be cleared away in the time of the next.
    globalThis.gc?.();
  }
}

function answerSection({ title, measured, result }: SectionResult): AnswerSection {
  const contestants = measured.map(({ contestant, time, average, rate, note, failure }) => {
    const { name, kind } = contestant;
    return { name, kind, milliseconds: time, average, perSecond: rate, note, failure };
  });
  return { title, charts: [], ...result, contestants };
}

/**
 * A store that stays open all the time: when the last object of a class is collected, between two
 * sections, the engine forgets what it knew of it, and the next section would begin uncompiled.
 */
async function heldStore(path: string): Promise<Store> {
  const store = await Store.open(path);
  const { id } = await store.put(new Uint8Array(16));
  store.get(id);
  return store;
}

const usage = `Options:
  --quick        shorter, so less certain
  --json FILE    the figures as JSON into a file; '-' for the standard output, text goes to the other`;

/** Measures everything, prints it, and writes the JSON that the command line asks for. */
export async function ask(question: Question): Promise<void> {
  const served = servedContestant();
  if (served !== undefined) {
    serve(contestantOf(question.sections(served.quick), served));
    return;
  }
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
    if (question.peers && missingPeers().length > 0) {
      print(`Without ${missingPeers().join(', ')}; 'npm run bench:install' installs the peers.\n`);
    }
    const held = await heldStore(join(folder, 'held.varve'));
    const results: SectionResult[] = [];
    for (const [at, section] of question.sections(quick).entries()) {
      const found = await measureSection(section, { folder: join(folder, String(at)), quick });
      for (const { title, result } of found) print(`${title}\n\n${result.text}\n`);
      results.push(...found);
    }
    await held.close();
    const figures = figuresOf(results);
    const goals = question.goals
      .filter(({ fullOnly = false }) => !(quick && fullOnly))
      .map((goal) => resultOfGoal(goal, figures));
    for (const goal of goals) print(goalText(goal));
    const failed = results
      .flatMap(({ measured }) => measured)
      .filter(({ contestant, failure }) => contestant.kind !== 'peer' && failure !== undefined);
    if (failed.length > 0) process.exitCode = 1;
    if (json === undefined) return;
    const { name, title } = question;
    const sections = results.map(answerSection);
    const content: Answer = { name, title, quick, machine, sections, goals };
    const text = `${JSON.stringify(content, undefined, 2)}\n`;
    if (json === '-') process.stdout.write(text);
    else writeFileSync(json, text);
  });
}
