# %% [markdown] meets="fine-tuning where the truth is known, matched temperatures, error bars"
# # 07 · Does EMO make a better language model?
#
# **You will be able to** say why EMO needs a pretrained head, judge a model against a known truth, tell a gain from mere sharpening by matching
# temperatures, and read a comparison with its errors.
#
# **Needs** lesson 06, PyTorch. **Takes** about 60 minutes, of which the machine computes one or two. **Formulas** A9, D1, D2, D7, D9, D11; claim
# C4.

# %% tags=["bootstrap"]

# %%
import tempfile
import numpy as np
import torch
import transformers
from IPython.display import display
from emo_teach import check, costs, figures, finetune, losses, pictures, studies, transport, worked
from emo_teach.explorers import lesson07_frontier, lesson07_samples, lesson07_training_curves
from emo_teach.finetune import texts
from emo_teach.measure import oracle, reading
from emo_teach.studies import lesson07_objectives as objectives, summary
from emo_teach.world import World, model_folder, small_gpt2
transformers.utils.logging.disable_progress_bar()
threads = torch.get_num_threads()
torch.set_num_threads(1)  # models this small are fastest on one core

# %% [markdown]
# The article's main claim (C4) is that fine-tuning with EMO beats maximum likelihood (*MLE*: cross-entropy), in the quality of generated text, even
# in perplexity, $e^{\mathrm{CE}}$. Lesson 06 makes one doubt it: the published update rests away from the truth. But how would you notice on real
# text? No corpus tells what $\tau$ is.
#
# ## A world whose truth is known
#
# So let us make one that does: a grammar with topics, singular and plural, and *classes* of near-synonyms (cook, chef, baker) with uneven shares.
# After any beginning of a text, the grammar is in a known state, and the law of the next word is a lookup. Two percent of all words are drawn at
# random. Domain A is for pretraining. Domain B has the same grammar with other frequencies, for fine-tuning.

# %%
A, B = World(shift=0.0), World(shift=1.0)
for name, world in (("A", A), ("B", B)):
    for text in world.sample(2, 22, seed=6):
        print(f"{name}: {world.decode(text)}")

# %% [markdown]
# A small GPT-2 (two layers, transformers' own code) has learned domain A. Compare:

# %%
def pretrained():
    return transformers.GPT2LMHeadModel.from_pretrained(model_folder())

prefix = B.encode("every glad chef quickly")
p = np.exp(reading.next_token_log_probs(pretrained(), prefix[None])[0, -1])
in_a, in_b = A.next_word(prefix)[-1], B.next_word(prefix)[-1]
print("every glad chef quickly ...   truth in A   GPT-2   truth in B")
for word in np.argsort(-in_a, kind="stable")[:6]:
    print(f"{B.vocabulary[word]:>27} {in_a[word]:12.3f} {p[word]:7.3f} {in_b[word]:12.3f}")

# %% [markdown]
# Now distances to the truth can be measured, at thousands of prefixes: the *forward* KL, $\mathrm{KL}(\tau\Vert p)$, large where the model
# leaves out what is true; the *reverse* KL, $\mathrm{KL}(p\Vert\tau)$, large where it says what is not; and the exact earth mover's distance from
# $p$ to $\tau$ under a cost that no objective is trained on: 0.1 to a word of the same true class, 1 to any other.

# %%
test = B.sample(40, 33, seed=10)
truth = B.next_word(test)[:, :-1]

def measure(model, temperature=1.0):
    log_p = reading.next_token_log_probs(model, test[:, :-1], temperature=temperature)
    both = {"forward_kl": oracle.forward_kl(log_p, truth).mean(), "reverse_kl": oracle.reverse_kl(log_p, truth).mean()}
    emd = transport.class_emd(np.exp(log_p), truth, B.classes, within=0.1).mean()
    return both | {"emd_classes": emd, "entropy": oracle.mean_entropy(log_p)}

def line(numbers):
    return "   ".join(f"{summary.NAMES[name]} {value:.3f}" for name, value in numbers.items())

print(f"pretrained on A, measured on B:  {line(measure(pretrained()))}")
print(f"entropy of the truth: {oracle.mean_entropy(np.log(truth)):.3f}")

# %% [markdown]
# ## Why a pretrained head?
#
# EMO's costs are cosines between rows of the LM head (A8), a frozen copy of it, for a cost that is trained along shrinks to 0 (lesson 05). Frozen
# *when*? **Predict:** what do the cosines of a head look like before any training?

# %%
models = {"pretrained head": pretrained(), "random head": small_gpt2(A.size, seed=1)}
units = {name: costs.unit_rows(model.get_output_embeddings().weight.detach().double().numpy()) for name, model in models.items()}
pictures.show(*figures.head_cosines(units, A.classes))

# %% [markdown]
# Nobody told the model which words are near-synonyms; it found out that they occur alike. In the random head all pairs of words look the same, and
# EMO is $1-p_t$ with noise. That is one reason why EMO is for fine-tuning. The other is D1: the pull on the target is $p_tL$, and in a fresh model
# $p_t$ is nothing. The mean pull on the target's logit:

# %%
batch = torch.tensor(B.sample(16, 33, seed=5))
for name, model in models.items():
    frozen = losses.CostEmbedding(model.get_output_embeddings().weight.detach().clone())
    for kind in ("ce", "emo"):
        z = model(batch).logits[:, :-1].detach().requires_grad_()
        losses.objective(kind, frozen)(z, batch[:, 1:], reduction="sum").backward()
        pull = -z.grad.gather(-1, batch[:, 1:, None]).mean()
        print(f"{name}: {kind:3} pulls with {pull:.4f}")

# %% [markdown]
# ### Exercise 07.1 (A9 and D7, 12 minutes)
#
# Write the published objective, mode 1, as a language model needs it: $\frac12(\mathrm{CE}+\mathrm{sg}(\mathrm{CE}/L)\,L)$, the mean over tokens,
# each with a weight CE/L of its own. The logits at position $i$ are about the label at $i+1$; labels equal to `ignore_index` do not count. The
# naive $L$, with the rows of `embedding` normalised, is good enough in float32.
#
# <details><summary>"The gradient is plain cross-entropy's"</summary>
#
# Then CE/L was differentiated too, and $\frac{\mathrm{CE}}LL$ is CE. `.detach()` the ratio, and nothing else. The value cannot tell.
# </details>
# <details><summary>Labels of -100 raise an IndexError</summary>
#
# Choose the positions that count with a mask before anything else.
# </details>

# %% tags=["exercise:07.1"]
def my_emo(logits, labels, embedding, ignore_index=-100):
    """Mode 1, a scalar tensor: logits (B, T, V), labels (B, T), embedding (V, d), the frozen head."""
    raise NotImplementedError

# %% tags=["check:07.1"]
check.run("07.1", my_emo)

# %% [markdown]
# Train with it: a plain loop, nothing hidden. Yours should land where the package's does.

# %%
def train_by_hand(loss, steps=60):
    model = pretrained().train()
    head = model.get_output_embeddings().weight.detach().clone()  # frozen
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    for batch in torch.tensor(B.sample(16 * steps, 33, seed=8)).split(16):
        optimizer.zero_grad()
        loss(model(batch).logits, batch, head).backward()
        optimizer.step()
    return model.eval()

packaged = lambda z, t, head: losses.objective("emo-mode-1", losses.CostEmbedding(head))(z[:, :-1], t[:, 1:])
print(f"package: {line(measure(train_by_hand(packaged)))}")

# %%
try:
    print(f"yours:   {line(measure(train_by_hand(my_emo)))}")
except NotImplementedError:
    print("not attempted yet: write my_emo above, and this cell trains with it")

# %% [markdown]
# ## Training, live
#
# Now properly, with `emo_teach.finetune`: cross-entropy, EMO's mode 1, and CE with the debiased score of
# lesson 06, from the same weights, with the same texts in the same order. Learning rate and setting of each were tuned on development texts, and
# for mode 1 tuning took lesson 06's *detached* variant, $L+\mathrm{sg}(p_t)$ in the weight. From here to the verdict "mode 1" means that one.
# **Predict** which curve on the left will be lowest.

# %%
trials = studies.table("objectives_tuning")
tuned = objectives.best(trials)
for setting in ("", "detach_target"):
    found = [t["perplexity"] for t in trials if (t["regime"], t["objective"], t["setting"]) == ("many texts", "emo-mode-1", setting)]
    print(f"mode 1 {setting or 'plain':13} best perplexity on development texts {min(found):.2f}")
learned_from, held_out, tracks = B.sample(4096, 33, seed=11), B.sample(100, 33, seed=12), {}

def train(name, dashboard, steps=300):
    model, chosen = pretrained(), tuned["many texts", name]
    def on_log(entry):
        dashboard.on_log(entry)
        if "valid_ce" in entry:
            tracks.setdefault(name, []).append({"step": entry["step"], **measure(model)})
    return finetune.finetune(
        model, learned_from, held_out, name, options=dict(objectives.OBJECTIVES[name])[chosen["setting"]], lr=chosen["lr"],
        steps=steps, batch_size=16, seed=0, precision="fp32", valid_every=50, on_log=on_log)

# %% tags=["timing"]
dashboard, runs = lesson07_training_curves.Dashboard(steps=300), {}
dashboard.show()
for name in ("ce", "emo-mode-1", "ce+debiased"):
    dashboard.start(name)
    runs[name] = train(name, dashboard)
dashboard.finish()

# %% [markdown]
# On the left the curve of CE is lowest. Mode 1's is cross-entropy as well (D7), at a worse model; not one point of it speaks of transport. That of
# CE + debiased is higher because a term is added: on the right, where all three show cross-entropy, it lies on CE's.

# %%
for name, run in runs.items():
    gap = max(abs(entry["valid_loss"] - entry["valid_ce"]) for entry in run.history if "valid_ce" in entry)
    print(f"{name:12} largest gap between its held-out loss and cross-entropy: {gap:.4f}")

# %% [markdown]
# What can tell is the truth, watched at every 50th step:

# %%
pictures.show(*figures.against_truth(tracks, oracle.mean_entropy(np.log(truth))))

# %% [markdown]
# **Look at the entropy.** Mode 1 drops below the truth's (orange): it *sharpens*, as lesson 06's resting points foretold. EMO's part of the loss is
# linear in $p$, and a linear function is least in a corner. So it takes from true but rare words, which forward KL charges dearly.
#
# Sharper texts *look* better. Choose a beginning, move the temperature, and find words that the truth would hardly say (marked). After *Run All
# Cells* the picture waits for the cells below:

# %%
bench = lesson07_samples.Samples({name: run.model for name, run in runs.items()}, B)
pictures.show(*bench.panel())

# %%
bench.explorer()

# %% [markdown]
# ## The control: match the temperature
#
# A temperature sharpens too, and costs nothing: divide the logits of the *MLE* model by $T<1$. EMO's reviewers asked for this
# control: samples of a sharpened model look cleaner, and to compare them with unsharpened ones is unfair. So
# tune $T$ until MLE has EMO's entropy, and compare *then*.
#
# **Predict first.** Each model is a point: forward KL across, reverse KL up; the truth is at the origin. As $T$ falls, MLE's point moves along a
# path. Will EMO's point lie on the path, on the near side of it, or beyond?

# %%
spots = {name: reading.next_token_log_probs(run.model, test[:16, :-1])[:, 4::2].reshape(-1, B.size) for name, run in runs.items()}
plane = lesson07_frontier.Frontier(spots, truth[:16, 4::2].reshape(-1, B.size))
pictures.show(*plane.panel())

# %%
plane.explorer()

# %% [markdown]
# EMO's point lies not far from the path, but that is not enough: at the point of the path that has EMO's entropy, MLE is nearer to the truth in
# both directions. (The other picture is the curve behind *MAUVE*, a score of samples, 1 for a perfect match; here on exact laws.)
#
# ### Exercise 07.2 (the control, 8 minutes)
#
# Write it: the temperature at which the mean entropy of $\mathrm{softmax}(z/T)$ over all contexts is the one asked for. It lies between 0.001 and
# 1000.
#
# <details><summary>How do I invert it?</summary>
#
# The entropy never falls as T grows: halve an interval, of log T best.
# </details>
# <details><summary>"You took the entropy of the mean distribution"</summary>
#
# Mixing contexts adds entropy. Take each row's entropy, then the mean.
# </details>

# %% tags=["exercise:07.2"]
def match(logits, entropy):
    """Temperature T > 0 with mean entropy of softmax(logits / T) = entropy, in nats; logits (N, V)."""
    raise NotImplementedError

# %% tags=["check:07.2"]
check.run("07.2", match)

# %% [markdown]
# ## Five seeds, twelve objectives, three regimes
#
# One run proves nothing. The long comparison (`python -m emo_teach study objectives`) pretrains a model anew for each of five seeds, then
# fine-tunes it for 300 steps with each objective: on few texts (128), on many (4096), and a model too small for the grammar (one layer of width
# 12). Each objective got seven or eight trials on one seed, judged by perplexity, with rates over the same range. Mean ± standard error; **bold**
# is the best of a column with all that cannot be told from it in paired differences, which see beyond the printed digits; arrows say which way is
# better. "Untouched" is the pretrained model. The cosine cost is that of each seed's pretrained head:

# %%
rows = studies.table("objectives")
shown = ("perplexity", "entropy", "forward_kl", "reverse_kl", "emd_classes", "emd_cosine", "mauve", "oracle_perplexity")
for regime in objectives.REGIMES:
    display(summary.Table(rows, regime, shown))

# %% [markdown]
# Oracle perplexity is what the truth thinks of the samples. It has no arrow, for a model that always says the same likely sentence gets the lowest.
# In a picture, cross-entropy a vertical line:

# %%
pictures.show(*figures.study(rows, ("forward_kl", "reverse_kl", "emd_classes", "mauve")))

# %% [markdown]
# A filled mark against the line is what the objective does; against the hollow mark beside it, what is left once MLE may sharpen too.
#
# Do not believe a table: run a piece of it again, from random weights to the last metric, and hold it against the committed lines. Rounding differs
# between processors, and training makes it grow; another seed moves some metric far more than the 2 % allowed here, so this check could fail:

# %%
pretraining, _, comparison = studies.load("objectives")
wanted = {"regime": "small model", "cell": "emo-mode-1", "seed": 0}
[begin] = [job for job in pretraining.jobs({}) if (job["width"], job["seed"]) == (12, 0)]
[job] = [job for job in comparison.jobs({"objectives_tuning": studies.table("objectives_tuning")}) if wanted.items() <= job.items()]
with tempfile.TemporaryDirectory() as folder:
    pretraining.run(begin, folder)
    again = comparison.run(job, folder)

# %%
exact = ("perplexity", "emo", "entropy", "forward_kl", "reverse_kl", "tv", "js", "emd_classes", "emd_cosine", "on_target", "on_synonyms")
def gap(found, seed):
    name = {**wanted, "seed": seed, "objective": found["objective"]}
    [kept] = [row for row in rows if name.items() <= row.items()]
    return max(abs(found[metric] / kept[metric] - 1) for metric in exact)

for found in again:
    agrees = "agrees" if gap(found, 0) < 0.02 else "DISAGREES"
    print(f"{found['objective']:25} {agrees} with the table in {len(exact)} metrics; seed 1's line is off by {gap(found, 1):.0%}")
assert max(gap(found, 0) for found in again) < 0.02 < min(gap(found, 1) for found in again)

# %% [markdown]
# ### Exercise 07.3 (paired differences, 6 minutes)
#
# The runs of one seed share weights, texts and their order: a hard seed is hard for both. So subtract *first*, seed by seed; then take mean and
# standard error.
#
# <details><summary>"That is the error of unpaired samples"</summary>
#
# You added the two variances. They contain what the seed does to both, which a difference does not.
# </details>

# %% tags=["exercise:07.3"]
def paired(first, second):
    """Mean of first - second over the seeds, and its standard error; both (n,)."""
    raise NotImplementedError

# %% tags=["check:07.3"]
check.run("07.3", paired)

# %% [markdown]
# ## The verdict
#
# Better or worse than plain CE, and than CE *cooled* to the same entropy? "Cannot tell" where zero lies within the 95 % interval of the paired
# difference: for five seeds, the mean ± 2.78 standard errors.

# %%
asked = ("perplexity", "forward_kl", "reverse_kl", "emd_classes", "mauve", "emo")
def answers(first, second, called):
    signs = summary.marks(rows, objectives.REGIMES, asked, first, second)
    print(f"{first:12} against {called:10}" + "".join(f"{group:^13}" for group in signs))

print(f"{'+ better - worse ? cannot tell':31}" + "".join(f"{summary.NAMES[metric].split(',')[0]:^13}" for metric in asked))
for name in ("emo-mode-1", "emo-mode-2", "emo", "ce+emo", "debiased", "ce+debiased", "tailr", "mixce", "smoothing"):
    answers(name, "ce", "ce")
    answers(name, f"ce matched to {name}", "cooled ce")
try:
    print(paired(*(summary.by_seed(rows, "many texts", name, "forward_kl") for name in ("emo-mode-1", "ce"))), "by your function")
except NotImplementedError:
    print("(exercise 07.3 not attempted yet)")

# %% [markdown]
# (Three signs in each column: few texts, many texts, small model. One sign in twenty would show by chance alone.) And does the *geometry* matter?
# The control: the same mode 1 with the head's rows shuffled, so that each word is near to random others. The truth's own share of near-synonyms is
# printed first.

# %%
answers("emo-mode-1", "emo-mode-1 shuffled", "shuffled")
final = B.sample(200, 33, seed=objectives.TEST_SEED)  # the study's test texts
law, came = B.next_word(final)[:, :-1].reshape(-1, B.size), final[:, 1:].ravel()
print(f"the truth: on synonyms {oracle.where_mass_goes(law, came, B.classes).synonyms.mean():.3f}")
for regime in objectives.REGIMES:
    for name in ("ce", "emo-mode-1", "ce matched to emo-mode-1", "emo-mode-1 shuffled", "emo", "debiased"):
        means = (summary.by_seed(rows, regime, name, metric).mean() for metric in ("entropy", "forward_kl", "emd_cosine", "on_synonyms"))
        text = "entropy {:.3f}  forward KL {:.3f}  EMD, cosine {:.3f}  on synonyms {:.3f}".format(*means)
        print(f"{regime:11} {name.replace('ce matched to emo-mode-1', 'cooled ce'):19} {text}")

# %% [markdown]
# So here is what we got. *At equal entropy* mode 1 is better on EMO, its own yardstick, and worse on the distances to the truth, even on the exact
# one under its own cosine cost: a short average distance to the *labels* is not a short distance to their *law*. What its reverse KL has against
# plain CE is sharpening, which a temperature sells for less. The pluses against plain CE belong to losses that tuning left nearly CE (TaiLr, MixCE,
# lightly weighted CE + EMO): a few percent of reverse KL at most, and cooling gives about as much. CE + debiased is CE's equal, or a hair worse.
# EMO alone and the accuracy loss end no nearer to the truth than the untouched model. The debiased score alone does not collapse, yet learns far
# less than CE.
#
# Geometry does matter, though not as hoped. The article's reason for EMO is fairness to near-synonyms (claim C5). With true neighbours mode 1 puts
# more on them than cooled CE does; with many texts, more than the truth has. But it also sharpens *more* than with shuffled ones. [Lesson
# 09](09_open_questions.ipynb) takes C5 apart.
#
# ## What others report
#
# The article tells of up to about ten MAUVE points over MLE and better perplexity for GPT-2-size models. We could not read the paper's result
# tables; its repository prints, for LLaMA tuned on instructions (Tulu v2), MMLU 51.4 with EMO against 50.4 with MLE, BBH 43.1 against 41.1, GSM
# 33.0 against 29.0. The paper's standard deviations are over five *decodings* of one trained model: other training seeds are not in them. We found
# no independent replication, nor a published failure.
#
# ## On the real thing
#
# With a GPU and the hub at hand, this is GPT-2 (124M) on WikiText-2 (in bfloat16; on a T4 in float32).
# Without them the small model stands in, and says so. Without a truth to look up, the control still works: give MLE EMO's entropy. (Mode 1 is the
# plain one here, and no rate was tuned.)

# %% tags=["environment"]
def real_thing(block=128):
    why = "there is no GPU"
    if torch.cuda.is_available():
        try:
            texts.read("wikitext-2")  # complains before the download if its files could not be read
            model, tokenizer = texts.load(texts.model_folder("gpt2"))
            return "GPT-2 on WikiText-2", "gpt2", 5e-5, texts.tokens("wikitext-2", tokenizer, block), block, None
        except ValueError as error:
            why = error
    print(f"FALLBACK: {why}. The small model and its own world stand in for GPT-2 and WikiText-2.")
    _, tokenizer = texts.load(model_folder())
    return "the small GPT-2 on domain B", "tiny", 1e-3, texts.tokens("world", tokenizer, 33), 33, "fp32"

what, folder, rate, (learned, held), block, precision = real_thing()
held = np.reshape(held[: len(held) // block * block], (-1, block))[: 528 // block]  # 528 words; each gives a law over the whole vocabulary
torch.set_num_threads(threads)

# %% tags=["environment"]
print(what)
tuned_models, unit = {}, None
for name in ("ce", "emo-mode-1"):
    model, _ = texts.load(texts.model_folder(folder))
    unit = unit if unit is not None else costs.unit_rows(model.get_output_embeddings().weight.detach().double().numpy())
    settings = {"steps": 60, "batch_size": 16, "block": block, "lr": rate, "seed": 0, "precision": precision}
    tuned_models[name] = finetune.finetune(model, learned, objective=name, **settings).model
laws = {name: reading.next_token_log_probs(model, held[:, :-1]) for name, model in tuned_models.items()}
match_t = oracle.matched_temperature(laws["ce"], oracle.mean_entropy(laws["emo-mode-1"]))
laws[f"ce, T = {match_t:.2f}"] = reading.next_token_log_probs(tuned_models["ce"], held[:, :-1], temperature=match_t)
for name, log_p in laws.items():
    perplexity = np.exp(-np.take_along_axis(log_p, held[:, 1:, None], -1).mean())
    print(f"{name:12} perplexity {perplexity:7.3f}   EMO {reading.emo(log_p, held[:, 1:], unit):.4f}   entropy {oracle.mean_entropy(log_p):.3f}")

# %% [markdown]
# ## What we learned
#
# A loss curve can show nothing of what was changed (D7). A loss that is linear in $p$ sharpens, and so does a temperature, for free: match first,
# then compare, over seeds, in pairs. The worked example after one step at rate 1:

# %%
worked.table("07")

# %% [markdown]
# On paper for EMO: the gradient is $(-0.13,-0.018,0.148)$, so Monday becomes $0.5e^{0.13}/(0.5e^{0.13}+0.3e^{0.018}+0.2e^{-0.148})$. Cross-entropy
# lowers Tuesday; EMO hardly does, and takes from banana.
#
# **What to doubt.** Small models, a grammar of a few hundred words, 300 steps. Real synonyms are fuzzier, and EMO's claim for large models is not
# tested here. Settings were chosen by perplexity, cross-entropy's own measure, and in the small model many rates were the highest on offer. **What
# would change our mind:** a gain over MLE at matched temperature, over several training seeds, that vanishes when the embedding is shuffled.
#
# Next: [08 · Can EMO teach a model from nothing?](08_training_from_scratch.ipynb) Full proofs are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), C4. Ren et al., [*EMO*](https://arxiv.org/abs/2310.04691)
# (2024), their [code](https://github.com/DRSY/EMO), and the [reviews](https://openreview.net/forum?id=4bLXfRd0CX). Zhang et al.,
# [*MixCE*](https://arxiv.org/abs/2305.16958) (2023), who measure against a known truth too. Pillutla et al.,
# [*MAUVE*](https://arxiv.org/abs/2102.01454) (2021). Student, *The probable error of a mean* (1908).
