"""The only stylesheet: light and dark, phone, desktop and paper. It uses only colours of the palette."""

from __future__ import annotations

from catwalk.web.palette import TOKENS

_LIGHT = ";".join(f"--{name}:{colour.light}" for name, colour in TOKENS.items())
_DARK = ";".join(f"--{name}:{colour.dark}" for name, colour in TOKENS.items())
_SCHEMES = f":root{{color-scheme:light dark;{_LIGHT}}}\n@media (prefers-color-scheme: dark){{:root{{{_DARK}}}}}\n"

_PAGE = """* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
  max-width: 74rem; padding: 1.2rem 1rem 3rem; overflow-wrap: break-word }
h1 { font-size: 1.35rem; line-height: 1.3; margin: .2rem 0 .6rem } h1 .run, .big .run { white-space: normal }
h2 { font-size: 1.1rem; margin: 2rem 0 .7rem } h3 { font-size: 1rem; margin: 0 0 .5rem } p { margin: .4rem 0 }
a { color: var(--good) } code { font-size: .88em; overflow-wrap: anywhere } nav { margin-bottom: .6rem }
nav.site { display: flex; flex-wrap: wrap; gap: .1rem 1.3rem; padding-bottom: .6rem; margin-bottom: .8rem;
  border-bottom: 1px solid var(--line) }
nav.site a { text-decoration: none } nav.site [aria-current] { color: var(--ink); font-weight: 600 }
.quiet { color: var(--quiet) } .big { font-size: 1.15rem; font-weight: 600 } .nowrap, .run { white-space: nowrap }
.good, .succeeded, .ship { color: var(--good) } .bad, .failed, .stalled, .lost { color: var(--bad) }
.warn, .cancelled, .hold { color: var(--warn) }
"""
_CARDS = """.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem }
.card + .card { margin-top: 1rem } .grid > .card { margin-top: 0 }
.edged { border-left: 6px solid var(--line); color: inherit; margin-bottom: 1rem }
.edged.good { border-left-color: var(--good) } .edged.bad { border-left-color: var(--bad) }
.edged.warn { border-left-color: var(--warn) } .missing { border-style: dashed; align-self: start }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)) }
.grid > :last-child:nth-child(odd) { grid-column: 1 / -1 }
.links a { display: inline-block; margin-right: 1rem; padding: .2rem 0 }
figure { margin: 0; display: flex; flex-direction: column } figure img { display: block; width: 100%; max-width: 34rem;
  margin: 0 auto; height: auto }
figcaption { color: var(--quiet); font-size: .88rem; margin-top: .5rem }
.swatch { display: inline-block; width: 2.6em; height: .8em; vertical-align: baseline; margin-right: .4em }
"""
_TABLES = """.wide { overflow-x: auto }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } th a { font-weight: 400 }
thead th { color: var(--quiet); font-size: .86rem; white-space: nowrap }
tbody tr:last-child > * { border-bottom: 0 }
.wide th:first-child { position: sticky; left: 0; background: var(--card) }
.n { text-align: right; white-space: nowrap } .name { overflow-wrap: anywhere; min-width: 6.5rem }
table.facts th { width: 1%; white-space: nowrap; padding-right: 2rem } table.facts td { overflow-wrap: anywhere }
dl { margin: 0 } dl.facts { display: grid; gap: .1rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)) }
.facts div { padding: .25rem 0 } .facts dt { color: var(--quiet); font-size: .86rem }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
.facts dd.lead { font-size: 1.25rem; font-weight: 600 }
"""
_FORMS = """input, select, button { font: inherit; color: inherit; background: var(--card); max-width: 100%;
  border: 1px solid var(--line); border-radius: 6px; padding: .3rem .6rem; height: 2.3rem }
input[type=checkbox] { width: 1.1rem; height: 1.1rem; margin: 0 .2rem 0 0; vertical-align: -.2rem;
  accent-color: var(--good) }
button { cursor: pointer } button.main { background: var(--good); border-color: var(--good); color: var(--card) }
button.plain { border: 0; background: none; padding: 0; height: auto; font-weight: inherit; text-decoration: underline;
  text-decoration-color: var(--line); text-underline-offset: .2em; white-space: nowrap }
.field span { display: block; color: var(--quiet); font-size: .86rem } .field > * { width: 100% }
.line { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin-bottom: .8rem }
.filters { display: grid; gap: .6rem .9rem; align-items: end; margin-bottom: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 11.5rem), 1fr)) }
.filters .long { grid-column: span 2 } body:has(main.broad) { max-width: 96rem }
.bar { position: sticky; bottom: 0; display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center;
  gap: .5rem 1rem; padding: .6rem 0; margin-top: .4rem; background: var(--page); border-top: 1px solid var(--line) }
.paging { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center }
.chip, .badge { display: inline-block; border: 1px solid var(--line); border-radius: 999px; padding: 0 .6rem;
  margin: .1rem .3rem .1rem 0; font-size: .88rem; font-weight: 400; white-space: nowrap }
.badge { color: var(--good); border-color: var(--good) }
"""
_PROSE = """.prose { max-width: 46rem } .prose pre { background: var(--shade); padding: .7rem .9rem; border-radius: 6px;
  overflow-x: auto }
.prose code { background: var(--shade); padding: .1em .3em; border-radius: 4px }
.prose pre code { background: none; padding: 0; overflow-wrap: normal }
.prose table { display: block; overflow-x: auto }
ul { padding-left: 1.3rem } li { margin: .25rem 0 }
"""
_PHONE = """@media (max-width: 44rem) { .roomy { display: none } body { padding: .8rem .6rem 2rem }
  .card { padding: .7rem .6rem } h1 { font-size: 1.15rem } th, td { padding-right: .6rem } .run { white-space: normal }
  table.facts th { white-space: normal; padding-right: .8rem; min-width: 7.5rem }
  .stacked thead { display: none } .stacked tr { display: grid; grid-template-columns: 1fr auto; padding: .35rem 0;
  border-bottom: 1px solid var(--line) } .stacked tr > * { border: 0; padding: 0 }
  .stacked .words { grid-column: 1 / -1 } .stacked tr:last-child { border-bottom: 0 }
  .filters { grid-template-columns: 1fr 1fr } nav.site strong { display: none } .bar { position: static }
  .named thead { display: none } .named tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line) } .named tr:last-child { border: 0 } .named tr > * { border: 0; padding: 0 }
  .named td:empty, .named td br { display: none }
  .named th { flex-basis: 100% } .named td { text-align: left; min-width: 0 }
  .named td::before { content: attr(data-label) " "; color: var(--quiet); font-size: .86rem } }
"""
_PAPER = """@media print { body { background: none; padding: 0; max-width: none } nav, .filters, .bar { display: none }
  .card { break-inside: avoid } .wide, .prose pre, .prose table { overflow: visible } h2, h3 { break-after: avoid } }
"""
STYLE = f"\n{_SCHEMES}{_PAGE}{_CARDS}{_TABLES}{_FORMS}{_PROSE}{_PHONE}{_PAPER}"
