/**
 * `bench/results.md`: what a run of the benches found, as a page, with the charts beside it.
 *
 * Invariant: it says on which machine, when and with which command it was measured, has every
 * table as it was printed, and every goal with what was found, those that miss included. Charts of
 * questions that were not asked this time are removed, so that page and charts are of one run.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer } from './answer.ts';
import { chartPicture } from './charts/chart-picture.ts';
import { type GoalResult, verdictText } from './goals.ts';
import { machineText } from './machine.ts';

export interface Run {
  readonly command: string;
  readonly seconds: number;
}

const introduction = `# Results of the benches

Written by \`npm run bench -- --results\`; do not edit it. Absolute times differ from machine to machine
and from day to day, so compare the ratios. Each ratio is between figures that were measured in turn in
one run. Commits are measured in processes of their own, and twice: *fresh* are the first runs of a new
process, *warm* those of a process that has made thousands. Fresh and warm averages are the median of
the averages of the processes. A floor is the least cost of the same work on this disk or this engine, without names,
checksums or a log. The head of each question's file in this folder says what it measures, and how.`;

function goalsTable(answers: readonly Answer[]): string {
  const rows = answers.flatMap(({ name, goals }) => goals.map((goal) => rowOf(name, goal)));
  return ['| question | goal | found |', '| --- | --- | --- |', ...rows].join('\n');
}

function rowOf(name: string, goal: GoalResult): string {
  const verdict = verdictText(goal);
  const shown = goal.holds ? verdict : `**${verdict}**`;
  return `| ${[name, goal.goal, shown].map(cellText).join(' | ')} |`;
}

function cellText(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function questionText(answer: Answer, hasChart: boolean): string {
  const { name, title, sections, goals } = answer;
  const parts = [`## ${title}`, `\`npm run bench -- ${name}\``];
  if (hasChart) parts.push(`![${title}](charts/${name}.svg)`);
  for (const section of sections) {
    parts.push(`### ${section.title}`, `\`\`\`text\n${section.text}\n\`\`\``);
  }
  if (goals.length > 0) {
    parts.push(goals.map((goal) => `- ${cellText(goal.goal)}: ${verdictText(goal)}`).join('\n'));
  }
  return parts.join('\n\n');
}

/** The page; `charted` are the names of the questions that have a chart. */
export function resultsText(
  answers: readonly Answer[],
  run: Run,
  charted: ReadonlySet<string>,
): string {
  const [first] = answers;
  const machine = first === undefined ? 'nothing was measured' : machineText(first.machine);
  const shortened = first?.quick === true ? '\n\nShortened (`--quick`): less certain.' : '';
  const parts = [
    introduction,
    `\`\`\`text\n${machine}\n${run.command}\n${run.seconds} s in all\n\`\`\`${shortened}`,
    '## The goals',
    goalsTable(answers),
    ...answers.map((answer) => questionText(answer, charted.has(answer.name))),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Writes the page and the charts into `folder`. */
export function writeResults(folder: string, answers: readonly Answer[], run: Run): void {
  const charts = join(folder, 'charts');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  const charted = new Set<string>();
  for (const answer of answers) {
    const picture = chartPicture(answer);
    if (picture === undefined) continue;
    charted.add(answer.name);
    writeFileSync(join(charts, `${answer.name}.svg`), picture);
  }
  writeFileSync(join(folder, 'results.md'), resultsText(answers, run, charted));
}
