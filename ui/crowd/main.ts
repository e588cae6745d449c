/* crowd.js: the crowd elements of review templates, for hone's sandboxed frames.
 *
 * One classic script that loads before the template, so that each element works from the moment that
 * it is read. It reaches no network. Start reading at form.ts; talk.ts is the way to the page around. */
import * as classifier from './classifier';
import * as controls from './controls';
import * as display from './display';
import { CrowdForm } from './form';
import { whenParsed } from './base';
import { allowDark, themePage } from './theme';
import { begin, ready } from './talk';

const ELEMENTS: Record<string, CustomElementConstructor> = {
  'crowd-form': CrowdForm,
  'crowd-classifier': classifier.CrowdClassifier,
  'crowd-classifier-multi-select': classifier.CrowdClassifierMultiSelect,
  'crowd-input': controls.CrowdInput,
  'crowd-text-area': controls.CrowdTextArea,
  'crowd-checkbox': controls.CrowdCheckbox,
  'crowd-toggle-button': controls.CrowdToggleButton,
  'crowd-radio-group': controls.CrowdRadioGroup,
  'crowd-radio-button': controls.CrowdRadioButton,
  'crowd-slider': controls.CrowdSlider,
  'crowd-button': controls.CrowdButton,
  'crowd-alert': display.CrowdAlert,
  'crowd-badge': display.CrowdBadge,
  'crowd-card': display.CrowdCard,
  'crowd-instructions': display.CrowdInstructions,
  'crowd-modal': display.CrowdModal,
  'crowd-tab': display.CrowdTab,
  'crowd-tabs': display.CrowdTabs,
  'crowd-toast': display.CrowdToast,
};

// A template that brings the script's tag twice must not fail.
if (!customElements.get('crowd-form')) {
  themePage();
  begin();
  for (const [name, element] of Object.entries(ELEMENTS)) customElements.define(name, element);
  whenParsed(() => {
    allowDark();
    setTimeout(ready, 0); // after the elements, which wait for the same moment
  });
}
