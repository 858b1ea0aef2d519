"""The shop of the experiments' specification (EXPERIMENTS.md, section 1)."""

FILES = {
    "project.yaml": """
name: home_shop
entities:
  item: {key: item_id, type: int}
events:
  impression:
    attributes:
      exposure_id: {type: string}
      item_id:     {type: int}
      policy:      {type: string, allowed: [random, bts]}
      country:     {type: string, required: false}
  click:
    attributes:
      impression_id: {type: string}
  view:
    attributes:
      exposure_id: {type: string}
      seconds:     {type: float, min: 0}
      page:        {type: string}
  purchase:
    attributes:
      visitor_id: {type: string}
      amount:     {type: float, min: 0}
  app_error:
    attributes:
      visitor_id: {type: string}
objectives:
  ctr: {rate: click / impression, within: 30m}
feature_views:
  item_profile: {entity: item}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    variants:  {champion: {model: ranker@champion, traffic: 90}, challenger: {model: ranker@challenger, traffic: 10}}
    explore: 5%
    attributes: {platform: {type: string, allowed: [web, ios, android]}, country: {type: string}, gender: {type: string, required: false}}
    parameters:
      blend:    {type: float, min: 0, max: 1, default: 0.5}
      ad_boost: {type: float, min: 0.5, max: 2, default: 1}
    rules:
      - block:   {where: {item_profile.item_kind: recalled}}
      - boost:   {where: {item_profile.item_kind: ad}, times: $ad_boost}
      - pin:     {item_id: 7, position: 1, from: 2019-11-29, until: 2019-12-01, when: {country: JP}}
      - reserve: {where: {item_profile.item_kind: ad}, positions: [3, 8]}
      - cap:     {by: item_profile.item_category, max: 2, per: response}
      - cap: {by: item_id, max: 3, per: unit, in: 24h}
metrics:
  clicks:        {sum: click, within: 7d, before: 14d}
  bought:        {any: purchase, within: 7d}
  revenue:       {sum: purchase.amount, within: 7d, at_most: 50000}
  stay_per_view: {rate: sum view.seconds / view, within: 7d}
  errors:        {any: app_error, within: 1d, goal: minimise}
layers:
  home: {endpoint: ranker, holdout: 2%}
experiments:
  ranker_v2:
    layer: home
    owner: home-team@example.com
    hypothesis: A model of every view is clicked more often than popularity alone.
    arms:      {control: {}, treatment: {variant: challenger}}
    weights:   {control: 50, treatment: 50}
    share:     20%
    holdout:   5%
    targeting: {country: [JP, TW], platform: {not: web}}
    metric:    ctr
    guardrails: [{metric: bought, max_drop: 2%}, {metric: errors, max_rise: 10%}]
    also:      [clicks, stay_per_view]
    segments:  [platform]
    plan:      {minimum_effect: 8%, days: 14}
  blend_up:
    {layer: home, arms: {control: {}, low: {blend: 0.3}, high: {blend: 0.7}}, share: 30%, metric: ctr, plan: {minimum_effect: 3%}}
  order_duel: {layer: home, interleave: [champion, challenger], share: 10%, metric: ctr}
  policy_test: {arm: impression.policy, control: random, treatment: bts, metric: ctr}
monitors:
  category_bias:
    endpoint: ranker
    items: item_profile.item_category
    window: 7d
    alarm: {shown_to_organic: 2, calibration: [0.67, 1.5], gini_rise: 0.05}
  served_alike: {endpoint: ranker, units: gender, window: 7d, alarm: {satisfied_ratio: 0.8, mix_drift: 5%}}
""",
    "features/item_profile.sql": """
SELECT item_id, event_timestamp, 'ad' AS item_kind, 1 AS item_category FROM events_impression
""",
    "profiles.yaml": "default: local\ntargets:\n  local: {}\n",
    "models/popular.yaml": """
model: ranker
alias: champion
objective: ctr
features: [item_id]
trainer: shop_ranker.popular
""",
    "models/seen.yaml": """
model: ranker
alias: challenger
objective: ctr
features: [item_id]
trainer: shop_ranker.popular
""",
    "shop_ranker.py": """
def popular(data, label, features): ...
""",
}


def write(folder):
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
