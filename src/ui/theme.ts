/**
 * Colours, type and spacing of the page as a Mantine theme, and as CSS variables for its own styles (global.css lists
 * them). One accent, neutral greys, semantic colours for states only. Text reaches 4.5:1 and control edges 3:1 on every
 * surface, in both themes.
 */
import {
  createTheme,
  defaultVariantColorsResolver,
  type CSSVariablesResolver,
  type MantineColorsTuple,
} from '@mantine/core';

const accent: MantineColorsTuple = [
  '#e4f4f1',
  '#c9e8e3',
  '#9dd5cc',
  '#6ec3b7',
  '#4fb8aa',
  '#2a9d90',
  '#178276',
  '#0f6f65',
  '#0b5c54',
  '#074640',
];

const gray: MantineColorsTuple = [
  '#f6f7f8',
  '#eef0f2',
  '#e3e7ea',
  '#d3d9de',
  '#b9c1c8',
  '#87919a',
  '#66717b',
  '#4b555e',
  '#2f373e',
  '#1a2026',
];

/** Mantine's order: text first, deepest background last. */
const dark: MantineColorsTuple = [
  '#e5e9ec',
  '#cbd2d8',
  '#9ba6b0',
  '#717d88',
  '#3a444c',
  '#2a3239',
  '#20262c',
  '#181d22',
  '#111519',
  '#0b0e11',
];

const red: MantineColorsTuple = [
  '#fdecea',
  '#f9d5d1',
  '#f2aaa3',
  '#ea8077',
  '#e36a60',
  '#d64c42',
  '#c23a31',
  '#a92f27',
  '#8d261f',
  '#6f1d18',
];

export const systemFont =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';

export const theme = createTheme({
  colors: { accent, gray, dark, red },
  primaryColor: 'accent',
  primaryShade: { light: 7, dark: 4 },
  // text on the accent: white on the light theme's, near black on the dark theme's
  variantColorResolver: (input) => {
    const colors = defaultVariantColorsResolver(input);
    const onAccent = input.variant === 'filled' && (input.color === undefined || input.color === 'accent');
    return onAccent ? { ...colors, color: 'var(--on-accent)' } : colors;
  },
  white: '#ffffff',
  black: '#1a2026',
  fontFamily: systemFont,
  fontFamilyMonospace:
    'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontFamily: systemFont, fontWeight: '600' },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.9375rem', lg: '1.0625rem', xl: '1.25rem' },
  spacing: { xs: '0.5rem', sm: '0.75rem', md: '1rem', lg: '1.5rem', xl: '2rem' },
});

/** The page's own variables, by scheme. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--page': '#f3f5f6',
    '--panel': '#ffffff',
    '--inset': '#eef1f3',
    '--line': '#dfe4e8',
    '--edge': '#87919a',
    '--text': '#1a2026',
    '--dim': '#56606a',
    '--accent': '#0f6f65',
    '--on-accent': '#ffffff',
    '--accent-soft': '#e1f2ef',
    '--on-accent-soft': '#0a574f',
    '--good': '#1b7540',
    '--bad': '#b3261e',
    '--bad-soft': '#fdf0ee',
    '--warn-text': '#8a5300',
    '--warn-soft': '#fdf4e3',
    '--shadow': '0 1px 2px rgb(20 28 35 / 6%), 0 4px 16px rgb(20 28 35 / 6%)',
    '--mantine-color-body': '#ffffff',
    '--mantine-color-dimmed': '#56606a',
    '--mantine-color-placeholder': '#6a747e',
    '--mantine-color-error': '#b3261e',
    '--mantine-color-default-border': '#87919a',
  },
  dark: {
    '--page': '#101418',
    '--panel': '#171c21',
    '--inset': '#20262c',
    '--line': '#2a3239',
    '--edge': '#717d88',
    '--text': '#e5e9ec',
    '--dim': '#9ba6b0',
    '--accent': '#4fb8aa',
    '--on-accent': '#04211d',
    '--accent-soft': '#15312e',
    '--on-accent-soft': '#83d3c8',
    '--good': '#6cc78d',
    '--bad': '#f0968e',
    '--bad-soft': '#33201f',
    '--warn-text': '#e5b567',
    '--warn-soft': '#2f2818',
    '--shadow': '0 1px 2px rgb(0 0 0 / 40%)',
    '--mantine-color-body': '#171c21',
    '--mantine-color-dimmed': '#9ba6b0',
    '--mantine-color-placeholder': '#8b96a0',
    '--mantine-color-error': '#f0968e',
    '--mantine-color-default-border': '#717d88',
  },
});
