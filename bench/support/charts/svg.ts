/**
 * SVG as text: elements, escaped, and the look that all charts share.
 *
 * Invariant: what comes out is well-formed XML whatever the names are. Every chart has a
 * background of its own, so that it reads the same on a light page and on a dark one; nothing is
 * told by colour alone.
 */

import type { Kind } from '../contestant.ts';

export const look = {
  background: '#ffffff',
  border: '#d0d7de',
  text: '#1f2328',
  faint: '#59636e',
  grid: '#e4e8ec',
  font: 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif',
} as const;

/** Colours that differ in lightness too. */
export const colourOf: Record<Kind, string> = {
  floor: '#8c959f',
  varve: '#0b6e4f',
  peer: '#d9a441',
};

type Attributes = Readonly<Record<string, string | number>>;

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Coordinates with two digits: more is not seen. */
function attributeText(value: string | number): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : escaped(value);
}

/** `content` is SVG already. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const text = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${attributeText(value)}"`)
    .join('');
  return content === '' ? `<${name}${text}/>` : `<${name}${text}>${content}</${name}>`;
}

export function label(x: number, y: number, text: string, attributes: Attributes = {}): string {
  return element('text', { x, y, fill: look.text, ...attributes }, escaped(text));
}

export function line(from: readonly [number, number], to: readonly [number, number]): string {
  const [x1, y1] = from;
  const [x2, y2] = to;
  return element('line', { x1, y1, x2, y2, stroke: look.grid, 'stroke-width': 1 });
}

/** A piece of a picture, drawn from its own upper left corner. */
export interface Piece {
  readonly height: number;
  readonly content: string;
}

function moved(x: number, y: number, content: string): string {
  return element('g', { transform: `translate(${x} ${y})` }, content);
}

/** Pieces below each other, under a title, on a background. */
export function picture(title: string, width: number, pieces: readonly Piece[]): string {
  const margin = 20;
  let top = 62;
  const placed: string[] = [];
  for (const { height, content } of pieces) {
    placed.push(moved(margin, top, content));
    top += height + 14;
  }
  const full = width + 2 * margin;
  const parts = [
    element('title', {}, escaped(title)),
    element('rect', {
      x: 0.5,
      y: 0.5,
      width: full - 1,
      height: top - 1,
      rx: 8,
      fill: look.background,
      stroke: look.border,
    }),
    label(margin, 36, title, { 'font-size': 18, 'font-weight': 600 }),
    ...placed,
  ];
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${full} ${top}`,
    width: full,
    height: top,
    role: 'img',
    'font-family': look.font,
    'font-size': 13,
  };
  return `${element('svg', attributes, `\n${parts.join('\n')}\n`)}\n`;
}
