# %% [markdown] meets="the map, the notation, a first slider" question="What does a model lose when it says *banana* instead of *Tuesday*?"
# # 00 · What does a language model lose when it says *banana* instead of *Tuesday*?
#
# **You will be able to** open and run a lesson, say what question this course answers, and read its notation.
#
# **Needs** Python, a little probability, gradients. **Takes** about 10 minutes.

# %% tags=["bootstrap"]

# %%
from importlib import metadata
from emo_teach import pictures, transport, worked
from emo_teach.explorers import lesson00_first_look

# %% [markdown]
# ## The question, in one slider
#
# A text goes "See you on", and the next *token* (a word or a piece of one) is *Monday*. A model gave Monday one half. The other half it gave to
# tokens that did not come: some to *Tuesday*, some to *banana*. **Predict first:** as that half moves from banana to Tuesday, does the usual loss,
# cross-entropy, go up, go down, or stay?

# %%
pictures.show(*lesson00_first_look.panel())

# %% [markdown]
# Cross-entropy does not care. It reads the probability of the right token and nothing else: $-\log\frac12\approx0.69$ three times. The second
# number does care: it is the cost of *moving* the model's probability to where it belongs. Bringing a unit of it to Monday costs 0.2 from Tuesday,
# a day too, but 1 from banana, so the half costs $0.5\cdot1=0.50$ on the left and $0.5\cdot0.2=0.10$ on the right. This cost is called the *earth
# mover's distance*, and this course is about using it as a loss. Move the slider, or set its number (the arrow
# keys work there):

# %%
lesson00_first_look.explorer()

# %% [markdown]
# If you see the pictures above but no slider, you are reading without a running kernel: open this page in JupyterLab or Colab and choose *Run All
# Cells*. After the kernel restarts, a slider does nothing until you run its cell again.
#
# ## Is everything there?
#
# This cell solves the transport problem of the worked example below, which lesson 03 solves by hand. The answer must be 0.10 (that the slider ended
# on the same number is chance).

# %%
value = transport.emd(worked.P, worked.TAU, worked.COST).value
print(f"earth mover's distance of the worked example: {value:.2f}")

# %% tags=["environment"]
for name in ("numpy", "scipy", "matplotlib", "POT", "ipywidgets", "torch"):
    found = list(metadata.distributions(name=name))
    print(f"{name:12} {found[0].version if found else 'not installed; lessons 06 and later need it'}")

# %% [markdown]
# ## The worked example
#
# One example of three tokens accompanies you through all lessons, small enough for pencil and paper. Its model $p$ spreads over all three. Its label
# $\tau$ is *soft*: it too is a distribution, as when four readers in ten expect Tuesday. Where a lesson wants one right token, that is Monday.

# %%
for i, token in enumerate(worked.TOKENS):
    print(f"{token:8} p = {worked.P[i]}   tau = {worked.TAU[i]}   cost to each token = {worked.COST[i]}")

# %% [markdown]
# Each lesson adds its lines to one table of what the losses say about this example, so that at the end you can compare them all.
#
# ## The map
#
# The course follows [an article by Su Jianlin](https://spaces.ac.cn/archives/9797) (in Chinese, 2023) on EMO, "Earth Mover Distance Optimization",
# a loss introduced by [Ren et al.](https://arxiv.org/abs/2310.04691) for fine-tuning language models. The article's formulas are labelled A1 to A9
# here, our additions D1 to D18. Every derivation, of which the article gives few, is in
# the [appendix](appendix_derivations.ipynb).
#
# | lesson | question | formulas | section of the article |
# | --- | --- | --- | --- |
# | [01](01_cross_entropy_is_kl.ipynb) | Why is cross-entropy the loss that everyone uses? | A1, A2, A3 | 概率散度, probability divergences |
# | [02](02_f_divergences.ipynb) | Would another divergence do better? | D10 | 概率散度, its last paragraph |
# | [03](03_exact_emd_linear_programming.ipynb) | What does it cost to move probability? | A4, D6, D8 | 最优传输, optimal transport |
# | [04](04_one_hot_closed_form.ipynb) | When is that cheap to compute? | A5, A6, A7, D2 | 最优传输, its closed form and bound |
# | [05](05_cosine_cost.ipynb) | Which words are near each other? | A8, D3, D4, D12 | 成本函数, the cost function |
# | [06](06_emo_as_a_loss.ipynb) | How do you train with transport, and where does it lead? | A9, D1, D5, D7, D9, D11 | 成本函数, its end |
# | [07](07_gpt2_finetune.ipynb) | Does EMO make a better language model? | claim C4 | 实验效果, results |
# | [08](08_training_from_scratch.ipynb) | Can EMO teach a model from nothing? | D13, D14, D15, claims C8, C9 | 个人思考, the author's thoughts |
# | [09](09_open_questions.ipynb) | Why should EMO help, and does it? | D16, D17, D18, claims C5, C6, C7 | 个人思考, the author's thoughts |
#
# Every formula is checked by a program against something independent of it, such as a general solver, 60-digit arithmetic or exact fractions, and
# every check must reject a wrong version of its formula. `python -m emo_teach verify` prints the whole table; each lesson shows its own rows.
#
# ## Notation
#
# Nothing to learn yet: each term is introduced in its lesson, and this is where to look it up. There are $n$ tokens in an example, $V$ in a model's
# vocabulary.
#
# | symbol | shape or unit | meaning | in the article |
# | --- | --- | --- | --- |
# | $p$, `p` | (n,) | the model's distribution, what is moved | 预测概率 |
# | $\tau$, `tau` | (n,) | the label's distribution, where it must go | 目标分布, 标签 |
# | $t$, `target` | index | the right token when the label is one-hot | 目标类别 |
# | one-hot, soft label | | $\tau$ with all its mass on one token, or on several | one hot, 软标签 |
# | $\mathrm{CE}$, $\mathrm{KL}$ | nats (natural logarithm) | cross-entropy, Kullback-Leibler divergence | 交叉熵, KL散度 |
# | $D_f(\tau\Vert p)$ | nats or none | f-divergence | f散度 |
# | $c_{ij}$, `cost` | (n, n) | cost of moving one unit from $i$ to $j$ | 成本函数 |
# | $\gamma_{ij}$, `plan` | (n, n) | how much goes from $i$ to $j$; a coupling | 传输方案, 联合分布 |
# | $\mathcal C[p,\tau]$, EMD | unit of the cost | earth mover's distance, optimal transport cost | 推土机距离 |
# | $u_i, v_j$, `u`, `v` | (n,) | potentials, the prices of lesson 03 | 对偶 |
# | $z$, `logits` | (n,) | what the network outputs, $p=\mathrm{softmax}(z)$ | |
# | $\boldsymbol e_i$, `embedding` | (V, d) | vector of token $i$, length $d$, a row of the model's last layer | Token Embedding, LM Head |
# | $\hat e_i$ | (d,) | that vector divided by its length | |
# | smoothed accuracy | none | $1-p_t$ as a loss | 准确率的光滑近似 |
#
# ## How a lesson works
#
# A line or two of mathematics, then the cell that checks it. Where you see *Predict first*, do: the picture teaches more when it surprises you.
# Exercises have a stub to fill and a cell that checks your function on random inputs and names the likely mistake; an untouched one says *not
# attempted yet*, so *Run All Cells* always goes through. Solutions lie in the folder `notebooks/solutions`.
#
# Next: [01 · Why is cross-entropy the loss that everyone uses?](01_cross_entropy_is_kl.ipynb)
