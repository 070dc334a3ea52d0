/**
 * A section whose contestants have processes of their own, measured fresh and warm.
 *
 * Invariant: both halves have the same contestants in the same order, and one chart that shows them
 * side by side. Prints nothing.
 */

import type { PairedBarChart } from '../answer.ts';
import type { Contestant } from '../contestant.ts';
import type { Measured } from '../measured.ts';
import { pairedChart, type Shown, sectionText } from '../report.ts';
import { ContestantProcess, type Served } from './contestant-process.ts';
import {
  type FreshEffort,
  freshText,
  measureFresh,
  measureWarm,
  type WarmEffort,
  warmText,
} from './fresh-and-warm.ts';

/**
 * Requires: names of contestants differ within the section, and so do titles of sections; making
 * the sections does no work, since each process does it again.
 */
export interface ProcessSection {
  readonly title: string;
  readonly shown: Shown;
  readonly contestants: readonly Contestant[];
  readonly fresh: FreshEffort;
  readonly warm: WarmEffort;
}

/** The title of the half that has the first runs of new processes. */
export function fresh(title: string): string {
  return `${title}, fresh`;
}

/** The title of the half that has warm processes. */
export function warm(title: string): string {
  return `${title}, warm`;
}

/** The folder that a section is measured in, and how the question was asked. */
export interface Place {
  readonly folder: string;
  readonly quick: boolean;
}

export interface Half {
  readonly title: string;
  readonly measured: readonly Measured[];
  readonly text: string;
  /** Only the first half has one: it shows both. */
  readonly charts: readonly PairedBarChart[];
}

/** Measures in processes that run this program again. */
export async function measureInProcesses(
  section: ProcessSection,
  { folder, quick }: Place,
): Promise<readonly [Half, Half]> {
  const { title, shown, contestants } = section;
  const program = process.argv[1] ?? '';
  const start = ({ name }: Contestant): ContestantProcess =>
    new ContestantProcess(program, { section: title, contestant: name, quick });
  const inFresh = await measureFresh(contestants, section.fresh, { start, folder });
  const inWarm = await measureWarm(contestants, section.warm, { start, folder });
  const operations = contestants[0]?.operations;
  const text = (head: string, measured: readonly Measured[]): string =>
    `${head}\n\n${sectionText(shown, measured)}`;
  return [
    {
      title: fresh(title),
      measured: inFresh,
      text: text(freshText(section.fresh, operations), inFresh),
      charts: [pairedChart(title, shown, { fresh: inFresh, warm: inWarm })],
    },
    {
      title: warm(title),
      measured: inWarm,
      text: text(warmText(section.warm, operations), inWarm),
      charts: [],
    },
  ];
}

/** The contestant that a process serves. Throws if there is no such contestant. */
export function contestantOf(
  sections: readonly { readonly title: string; readonly contestants?: readonly Contestant[] }[],
  served: Served,
): Contestant {
  const section = sections.find(({ title }) => title === served.section);
  const found = section?.contestants?.find(({ name }) => name === served.contestant);
  if (found !== undefined) return found;
  throw new Error(`no contestant of '${served.section}' is called '${served.contestant}'`);
}
