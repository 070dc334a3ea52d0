/**
 * The picture of one answer: a panel for each of its charts, one below the other.
 *
 * Invariant: the legend names the kinds that are in it. An answer without charts has no picture.
 */

import type { Answer, Chart } from '../answer.ts';
import type { Kind } from '../contestant.ts';
import { barPanel } from './bar-panel.ts';
import { curvePanel } from './curve-panel.ts';
import { colourOf, element, label, type Piece, picture } from './svg.ts';

const width = 880;

function legend(kinds: readonly Kind[]): Piece {
  const words: Record<Kind, string> = {
    floor: 'floor: the least it can cost here',
    varve: 'varve',
    peer: 'other stores',
  };
  let x = 0;
  const parts = kinds.map((kind) => {
    const swatch = element('rect', { x, y: 0, width: 12, height: 12, rx: 2, fill: colourOf[kind] });
    const text = label(x + 18, 11, words[kind]);
    x += 18 + words[kind].length * 7 + 24;
    return swatch + text;
  });
  return { height: 14, content: parts.join('\n') };
}

function kindsOf(charts: readonly Chart[]): Kind[] {
  const kinds = charts.flatMap((chart) =>
    chart.shape === 'curves' ? [] : chart.bars.map(({ kind }) => kind),
  );
  const found = new Set(kinds);
  return (['floor', 'varve', 'peer'] as const).filter((kind) => found.has(kind));
}

/** SVG; undefined where there is nothing to draw. */
export function chartPicture({ title, sections }: Answer): string | undefined {
  const charts = sections.flatMap((section) => section.charts);
  if (charts.length === 0) return undefined;
  const panels = charts.map((chart) =>
    chart.shape === 'curves' ? curvePanel(chart, width) : barPanel(chart, width),
  );
  const kinds = kindsOf(charts);
  return picture(title, width, [...(kinds.length > 0 ? [legend(kinds)] : []), ...panels]);
}
