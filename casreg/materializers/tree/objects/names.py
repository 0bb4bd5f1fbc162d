"""The reviewed table: which classes of scikit-learn load without a flag, and from where they are imported.

A class stands here when someone has read how it uses its fitted attributes: either only numpy and Python see
them (a wrong shape raises), or a check in `checks` makes sure of what compiled code takes for granted.  Left
out on purpose: Birch (a linked list), the dictionary learners and LatentDirichletAllocation (compiled solvers
that trust shapes), everything that keeps functions of the user.
"""

from __future__ import annotations

from typing import Final

_BY_MODULE: Final = {
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "sklearn.cluster": "KMeans MiniBatchKMeans DBSCAN AgglomerativeClustering",
    "sklearn.compose._column_transformer": "_RemainderColsList",
    "sklearn.compose": "ColumnTransformer TransformedTargetRegressor",
    "sklearn.covariance": "EmpiricalCovariance LedoitWolf ShrunkCovariance",
    "sklearn.decomposition": "PCA TruncatedSVD IncrementalPCA NMF FastICA FactorAnalysis KernelPCA",
    "sklearn.discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "sklearn.dummy": "DummyClassifier DummyRegressor",
    "sklearn.ensemble": "RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor "
    "GradientBoostingClassifier GradientBoostingRegressor HistGradientBoostingClassifier "
    "HistGradientBoostingRegressor AdaBoostClassifier AdaBoostRegressor BaggingClassifier BaggingRegressor "
    "IsolationForest VotingClassifier VotingRegressor StackingClassifier StackingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_extraction": "DictVectorizer FeatureHasher",
    "sklearn.feature_extraction.text": "CountVectorizer TfidfTransformer TfidfVectorizer HashingVectorizer",
    "sklearn.feature_selection": "SelectKBest SelectPercentile VarianceThreshold SelectFromModel RFE",
    "sklearn.gaussian_process": "GaussianProcessRegressor",
    "sklearn.gaussian_process.kernels": "RBF ConstantKernel WhiteKernel Matern RationalQuadratic DotProduct "
    "ExpSineSquared Sum Product Exponentiation Hyperparameter",
    "sklearn.impute": "SimpleImputer KNNImputer MissingIndicator",
    "sklearn.isotonic": "IsotonicRegression",
    "sklearn.linear_model": "LogisticRegression LogisticRegressionCV LinearRegression Ridge RidgeCV RidgeClassifier "
    "RidgeClassifierCV Lasso LassoCV ElasticNet ElasticNetCV Lars LassoLars OrthogonalMatchingPursuit "
    "BayesianRidge ARDRegression HuberRegressor QuantileRegressor TheilSenRegressor PoissonRegressor "
    "GammaRegressor TweedieRegressor SGDClassifier SGDRegressor Perceptron MultiTaskLasso MultiTaskElasticNet",
    "sklearn.metrics._scorer": "_Scorer _PassthroughScorer _MultimetricScorer",
    "sklearn.mixture": "GaussianMixture BayesianGaussianMixture",
    "sklearn.model_selection": "GridSearchCV RandomizedSearchCV KFold StratifiedKFold GroupKFold ShuffleSplit "
    "StratifiedShuffleSplit TimeSeriesSplit RepeatedKFold RepeatedStratifiedKFold LeaveOneOut",
    "sklearn.multiclass": "OneVsRestClassifier OneVsOneClassifier _ConstantPredictor",
    "sklearn.multioutput": "MultiOutputClassifier MultiOutputRegressor",
    "sklearn.naive_bayes": "GaussianNB MultinomialNB ComplementNB BernoulliNB CategoricalNB",
    "sklearn.neighbors": "KNeighborsClassifier KNeighborsRegressor RadiusNeighborsClassifier "
    "RadiusNeighborsRegressor NearestNeighbors NearestCentroid LocalOutlierFactor KernelDensity",
    "sklearn.neural_network": "MLPClassifier MLPRegressor",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.pipeline": "Pipeline FeatureUnion",
    "sklearn.preprocessing": "StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer Binarizer "
    "PowerTransformer QuantileTransformer PolynomialFeatures OneHotEncoder OrdinalEncoder LabelEncoder "
    "LabelBinarizer MultiLabelBinarizer KBinsDiscretizer FunctionTransformer TargetEncoder KernelCenterer",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "sklearn.svm": "SVC SVR NuSVC NuSVR OneClassSVM LinearSVC LinearSVR",
    "sklearn.tree": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
}

MODULE_OF: Final = {name: module for module, names in _BY_MODULE.items() for name in names.split()}
"""Name of the class to the module that it is imported from."""

LEFT_OUT: Final = dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"), "_stop_words_id")
"""Attributes that mean nothing in another process: this one is an address in memory."""

REBUILT: Final = {"IsotonicRegression": ("f_", "_build_f", ("X_thresholds_", "y_thresholds_"))}
"""Attributes that are not stored, since a method of the class makes them again from others."""

TYPES: Final = {
    f"builtins.{one.__name__}": one
    for one in (bool, int, float, complex, str, bytes, list, tuple, dict, set, object)
}
"""Classes that may stand as values, besides numpy's scalar types: `dtype=float`."""

_SCORES: Final = "chi2 f_classif f_regression mutual_info_classif mutual_info_regression r_regression"
_UFUNCS: Final = (
    "log log1p log2 log10 exp expm1 exp2 sqrt cbrt square abs absolute negative reciprocal sign sin cos tan arcsin "
    "arccos arctan sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg mean median max min sum std var ravel"
)
_METRICS: Final = (
    "accuracy_score balanced_accuracy_score top_k_accuracy_score average_precision_score brier_score_loss f1_score "
    "log_loss precision_score recall_score jaccard_score roc_auc_score matthews_corrcoef explained_variance_score "
    "r2_score max_error mean_squared_error mean_absolute_error median_absolute_error mean_squared_log_error "
    "root_mean_squared_error root_mean_squared_log_error mean_absolute_percentage_error mean_poisson_deviance "
    "mean_gamma_deviance d2_absolute_error_score d2_brier_score d2_log_loss_score "
    "mutual_info_score adjusted_mutual_info_score normalized_mutual_info_score rand_score adjusted_rand_score "
    "completeness_score homogeneity_score v_measure_score fowlkes_mallows_score"
)

CALLABLES: Final = (
    *(f"numpy.{name}" for name in _UFUNCS.split()),
    *(f"sklearn.feature_selection.{name}" for name in _SCORES.split()),
    *(f"sklearn.metrics.{name}" for name in _METRICS.split()),
    "sklearn.utils.check_array",
)
"""Functions that may stand as values: pure ones, of numpy and scikit-learn."""
