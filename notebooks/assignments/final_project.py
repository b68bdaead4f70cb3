# %% [markdown]
# # Final project · Ask one question, and answer it so that others can check
#
# 100 points, about two weeks; alone or in pairs. You choose one question about transport losses, say beforehand what you expect, find out, and report
# it so that a reader who doubts you can run it again. A clear "no", or "cannot tell, and here is how many seeds it would take", earns as much as a
# "yes".
#
# **Hand in** this notebook, with your code and at most about 1,500 words, that runs from top to bottom on a laptop's CPU in 15 minutes. Longer runs
# may stand in a script beside it that writes a table, if a small piece of the table is run again in the notebook and compared, as lesson 07 does.
#
# Graded are the six text cells below. What they claim must be shown by your code cells, which stand where you like.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np
from emo_teach import studies, transport
from emo_teach.measure import oracle
from emo_teach.studies import summary
from emo_teach.world import World

SEED = 0
A, B = World(shift=0.0), World(shift=1.0)
ROWS = studies.table("objectives")  # lesson 07's long comparison: objective by regime by seed

# %% [markdown]
# ## Choose one
#
# 1. **Another cost.** Does EMO do better with squared distances, arc lengths, a cost by classes, or cosines of another layer? Which of them is the
#    debiased score still proper for? *Begin with* `CostEmbedding`, D4, D9 (lessons 05 and 06).
# 2. **Another control.** Lesson 07 matches MLE's temperature to EMO's entropy. Match by top-$k$, nucleus sampling or the collision probability: does
#    the verdict depend on it? *Begin with* problem set 7, `measure.reading.sample` (lesson 07).
# 3. **How much geometry?** Blend the true embedding with a shuffled one, from 0 to 1. Where does the gain, or the harm, go? Are near-synonyms what
#    matters? *Begin with* `World.classes`, `where_mass_goes` (lessons 05 and 07).
# 4. **The proper cousin.** Vary the weight of the debiased score beside CE, and the number of texts. Is there a regime in which knowing that Tuesday
#    is near saves data? *Begin with* `ce+debiased`, D9 (lessons 06 and 07).
# 5. **How noisy is MAUVE?** Vary samples, clusters, seeds of sampling, of clustering and of *training*. How large must a difference be before you
#    believe it? *Begin with* `measure.mauve` (lesson 07).
# 6. **Where does it rest?** Mode 1, mode 2, TaiLr or MixCE: their rest points for many random $\tau$ and costs. Find a law, prove it, or refute it by
#    a counterexample. *Begin with* D11, problem set 6 (lesson 06).
# 7. **The real thing.** GPT-2 on WikiText-2 with a GPU: CE against mode 1 at matched temperature, three training seeds at least. *Begin with* `python
#    -m emo_teach finetune` (lesson 07).
# 8. **Your own**, agreed with your instructor before you begin.
#
# ## A beginning
#
# The world knows its truth, so any law can be measured exactly and at once. Here the laws of domain A are judged by domain B, and so is a sharper
# version of them:

# %%
texts = B.sample(20, 12, seed=100 + SEED)
truth, stale = B.next_word(texts)[:, -1], A.next_word(texts)[:, -1]
for temperature in (1.0, 0.8):
    log_p = np.log(stale) / temperature
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    forward, reverse = (measure(log_p, truth).mean() for measure in (oracle.forward_kl, oracle.reverse_kl))
    emd = transport.class_emd(np.exp(log_p), truth, B.classes, within=0.1).mean()
    print(f"T = {temperature}: forward KL {forward:.3f}, reverse KL {reverse:.3f}, EMD {emd:.3f}, entropy {oracle.mean_entropy(log_p):.3f}")
print(f"linear program, one context: {transport.emd(stale[0], truth[0], B.cost(0.1)).value:.3f}")

# %% [markdown]
# A training run takes seconds (torch and transformers are needed; `python -m emo_teach finetune --help` does the same from a terminal):
#
# ```python
# import transformers
# from emo_teach import finetune
# from emo_teach.measure import reading
# from emo_teach.world import model_folder
#
# model = transformers.GPT2LMHeadModel.from_pretrained(model_folder())
# finetune.finetune(model, B.sample(1024, 33, seed=1), objective="emo-mode-1", steps=60, batch_size=16, lr=1e-3, seed=0, precision="fp32")
# log_p = reading.next_token_log_probs(model, texts)  # log-probabilities (N, T, V)
# ```
#
# And a comparison over seeds, paired, as `summary` makes it:

# %%
for metric in ("forward_kl", "reverse_kl"):
    word, mean, error = summary.verdict(ROWS, "many texts", metric, "emo-mode-1", "ce matched to emo-mode-1")
    print(f"{metric}: mode 1 against CE at its entropy: {word} ({mean:+.4f}, standard error {error:.4f})")

# %% [markdown]
# ## House rules
#
# - **Predict first.** Write cell F.1 before your first experiment and leave it as it was; being wrong costs nothing.
# - **Tune alike.** Every rival gets as many trials as your favourite, on data that the final numbers do not use.
# - **Seeds.** At least three *training* seeds, paired, with an interval. Several decodings of one trained model are one seed.
# - **Match sharpness** wherever sampling or reverse KL is the judge.
# - **One check that can fail**: an assert that compares your code with something independent (an LP, a finite difference, a case on paper). Break
#   your code on purpose and show that it does fail.
# - **Sources** for every claim that is not your own result. Say which code is not yours, tools that write code included; you answer for all of it.

# %% [markdown]
# ## F.1 The question, and what you expect (15 points)
#
# What do you ask, in one sentence that can come out false? Which numbers will decide it? What do you expect, how surely, and why? What would change
# your mind?

# %% [markdown] tags=["proof:F.1", "points:15"]
# ### BEGIN SOLUTION
# **Rubric.** *5, the question:* 5 one sentence that a stated measurement can refute; 3 a topic with a measure but no way to be wrong; 1 a topic only.
# *5, the decision:* 5 metric, rivals, number of seeds and what difference counts are named in advance; 3 one of them is missing; 1 only a metric.
# *5, the expectation:* 5 a direction and a rough size, derived from the course's formulas (D2, D9, D11 ...), with a degree of belief; 3 a direction
# with a reason; 1 a bare guess. A wrong expectation loses nothing. One written after the results (the notebook's history shows it): 0 of these 5.
#
# *A good answer to topic 3, in brief:* "With the embedding blended with share s of a shuffled one, mode 1's reverse KL minus that of CE at its
# entropy rises with s over five paired seeds. I expect it in the regime of few texts only (60 %), since synonyms' shares are learned fast from many;
# by D2 the entropy will fall at every s."
# ### END SOLUTION

# %% [markdown]
# ## F.2 The method (20 points)
#
# What did you compute, on what data, with which settings, tuned how? Write the formula of everything that you added to the course's code.

# %% [markdown] tags=["proof:F.2", "points:20"]
# ### BEGIN SOLUTION
# **Rubric.** *8, it answers the question:* 8 the comparison isolates what is asked (everything else equal, sharpness matched where it matters); 5 one
# confounder is left and named; 2 it is left and not seen. *6, fairness:* 6 equal trials for all, tuned on other data, paired seeds; 3 one of the
# three is missing; 0 the favourite alone was tuned. *6, exactness:* 6 a reader could code it from the text: formulas with their averages, shift and
# ignored labels, the frozen cost, units; 3 with guesses; 0 not.
#
# For the theoretical topic 6 read: 8 definitions and assumptions are stated and are those the question needs; 6 the search for counterexamples is
# wide (random costs, zeros, ties, corners); 6 every step can be followed.
# ### END SOLUTION

# %% [markdown]
# ## F.3 Is the code right? (15 points)
#
# Which of your checks can fail? Show one failing on purpose, and say what it would not notice.

# %% [markdown] tags=["proof:F.3", "points:15"]
# ### BEGIN SOLUTION
# **Rubric.** *6, an independent check* of each new piece of code (LP, finite difference, complex step, closed case): 6 all pieces; 3 the main one;
# 1 only shapes or "the loss falls". *5, seen failing:* 5 a plausible fault was planted (a forgotten mean, a shifted label, a cost that learns), the
# check failed, the output is shown; 2 claimed, not shown. *4, it runs again:* 4 the notebook runs from top to bottom within the time and gives the
# stated numbers, a piece of any long table re-run; 2 with small repairs; 0 not.
# ### END SOLUTION

# %% [markdown]
# ## F.4 The results (20 points)
#
# One table and one or two pictures. Every number with its error, its unit and its number of seeds; all that you tried, not what came out best.

# %% [markdown] tags=["proof:F.4", "points:20"]
# ### BEGIN SOLUTION
# **Rubric.** *8, the numbers:* 8 at least three training seeds, paired differences with an interval, the control beside them; 5 seeds, but unpaired
# or without the control; 2 one seed. *6, completeness:* 6 all runs are accounted for, failures and ties included; 3 some are missing and it is said;
# 0 a selection is passed off as all. *6, the picture:* 6 a reader gets the answer from it alone: axes with units, errors, colours that everyone can
# tell apart, a caption that says what to see; 3 readable with the text; 0 not.
#
# Topic 6: 8 a theorem with a full proof, or a counterexample checked in exact or certified arithmetic; 6 the limits of its assumptions are explored;
# 6 a picture of a case.
# ### END SOLUTION

# %% [markdown]
# ## F.5 What it means, and what to doubt (20 points)
#
# Answer the question. Was your expectation right, and if not, which step of your reasoning was wrong? Which formula of the course explains what you
# saw? What could still be wrong, and which experiment would show it?

# %% [markdown] tags=["proof:F.5", "points:20"]
# ### BEGIN SOLUTION
# **Rubric.** *7, the answer* says no more than the intervals allow: 7 yes, no or cannot tell, with the size; 4 right direction, too sure; 0
# contradicts its own table. *7, the explanation:* 7 a formula or mechanism of the course that was *tested* (a prediction of it checked, an ablation);
# 4 plausible, untested; 1 a story. *6, doubts:* 6 the two or three most dangerous ones for *this* result, each with the experiment that would settle
# it; 3 general ones (small models, few seeds); 0 none.
# ### END SOLUTION

# %% [markdown]
# ## F.6 For a reader in a hurry (10 points)
#
# At most 150 words: question, answer with its number and interval, the strongest doubt. No jargon that lesson 00 would not understand. Then the
# sources.

# %% [markdown] tags=["proof:F.6", "points:10"]
# ### BEGIN SOLUTION
# **Rubric.** *6, the summary:* 6 complete, right and within 150 words; 3 one part is missing, or too long; 0 it claims more than F.5. *4, sources and
# origin:* 4 each borrowed claim has its source, borrowed or generated code is marked; 2 gaps; 0 none (copied work goes to the instructor).
# ### END SOLUTION
